import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsRequest;
import software.amazon.awssdk.services.dynamodb.model.GetShardIteratorRequest;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.dynamodb.model.TrimmedDataAccessException;

/**
 * Sees lost records before the adapter hides them: as a skip to the horizon, as an ordinary end of shard, or as retries
 * without end. Ends the JVM at once, so that no checkpoint can pass the gap.
 */
final class GapDetector implements ExecutionInterceptor {
    private static final Logger LOG = LoggerFactory.getLogger(GapDetector.class);

    @Override
    public void onExecutionFailure(Context.FailedExecution context, ExecutionAttributes attributes) {
        boolean reads = context.request() instanceof GetRecordsRequest
                || context.request() instanceof GetShardIteratorRequest;
        Throwable error = context.exception();
        if (reads && (error instanceof TrimmedDataAccessException || error instanceof ResourceNotFoundException)) {
            LOG.error("STREAM_GAP {} on {}", error.getMessage(), context.request());
            Runtime.getRuntime().halt(StreamsDaemon.EXIT_GAP);
        }
    }
}
