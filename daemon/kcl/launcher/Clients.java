import java.time.Duration;
import software.amazon.awssdk.awscore.retry.AwsRetryStrategy;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;

/** The AWS clients: the stream is of one side, what the KCL remembers of the other. */
final class Clients {
    private static final int ATTEMPTS = 10;

    private final Side stream;
    private final Side leases;

    Clients(Side stream, Side leases) {
        this.stream = stream;
        this.leases = leases;
    }

    /** For the lease tables. */
    DynamoDbAsyncClient dynamoDb() {
        return leases.on(DynamoDbAsyncClient.builder()).build();
    }

    /** Demanded by the KCL; never called while its metrics are off. */
    CloudWatchAsyncClient cloudWatch() {
        return leases.on(CloudWatchAsyncClient.builder()).build();
    }

    /** For the stream itself. */
    DynamoDbStreamsClient streams(String streamArn, long idleMillis) {
        BackoffStrategy backoff = BackoffStrategy.exponentialDelay(Duration.ofMillis(100), Duration.ofSeconds(10));
        return stream.on(DynamoDbStreamsClient.builder())
                .overrideConfiguration(options -> options
                        .retryStrategy(AwsRetryStrategy.standardRetryStrategy().toBuilder()
                                .maxAttempts(ATTEMPTS).throttlingBackoffStrategy(backoff).build())
                        .addExecutionInterceptor(new GapDetector())
                        .addExecutionInterceptor(new LocalArn(streamArn))
                        .addExecutionInterceptor(new EmptyPagePause(idleMillis)))
                .build();
    }
}
