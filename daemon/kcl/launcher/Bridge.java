import com.amazonaws.services.dynamodbv2.streamsadapter.model.DynamoDBStreamsProcessRecordsInput;
import com.amazonaws.services.dynamodbv2.streamsadapter.processor.DynamoDBStreamsShardRecordProcessor;
import java.util.concurrent.atomic.AtomicInteger;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.ShardRecordProcessor;

/** The adapter demands a processor of its own type; MultiLang's, which runs the child process, is the KCL's plain one. */
final class Bridge implements DynamoDBStreamsShardRecordProcessor {
    /** Shards with a running child process. */
    static final AtomicInteger LIVE = new AtomicInteger();

    private final ShardRecordProcessor child;
    private boolean live;

    Bridge(ShardRecordProcessor child) {
        this.child = child;
    }

    @Override
    public void initialize(InitializationInput input) {
        live = true;
        LIVE.incrementAndGet();
        Starts.run(() -> child.initialize(input));
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
        child.processRecords(input);
    }

    @Override
    public void processRecords(DynamoDBStreamsProcessRecordsInput input) {
        throw new AssertionError("the other overload hands the records on");
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        last(() -> child.leaseLost(input));
    }

    @Override
    public void shardEnded(ShardEndedInput input) {
        last(() -> child.shardEnded(input));
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        child.shutdownRequested(input);
    }

    private void last(Runnable call) {
        try {
            call.run();
        } finally {
            if (live) {
                live = false;
                LIVE.decrementAndGet();
            }
        }
    }
}
