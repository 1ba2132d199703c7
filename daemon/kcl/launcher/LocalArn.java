import software.amazon.awssdk.core.SdkRequest;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.services.dynamodb.model.DescribeStreamRequest;
import software.amazon.awssdk.services.dynamodb.model.GetShardIteratorRequest;

/**
 * DynamoDB Local's stream ARNs name the region "ddblocal", which adapters before 2.1.0 refuse. The adapter is shown a
 * region that it knows, and DynamoDB Local gets its own ARN back. Does nothing for AWS.
 */
final class LocalArn implements ExecutionInterceptor {
    private static final String LOCAL = ":ddblocal:";
    private static final String SHOWN = ":us-east-1:";

    private final boolean local;

    LocalArn(String streamArn) {
        this.local = streamArn.contains(LOCAL);
    }

    /** The ARN as the adapter may see it. */
    static String shown(String streamArn) {
        return streamArn.replace(LOCAL, SHOWN);
    }

    @Override
    public SdkRequest modifyRequest(Context.ModifyRequest context, ExecutionAttributes attributes) {
        SdkRequest request = context.request();
        if (local && request instanceof DescribeStreamRequest describe) {
            return describe.toBuilder().streamArn(original(describe.streamArn())).build();
        }
        if (local && request instanceof GetShardIteratorRequest iterator) {
            return iterator.toBuilder().streamArn(original(iterator.streamArn())).build();
        }
        return request;
    }

    private static String original(String streamArn) {
        return streamArn.replace(SHOWN, LOCAL);
    }
}
