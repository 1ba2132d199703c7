import com.amazonaws.services.dynamodbv2.streamsadapter.AmazonDynamoDBStreamsAdapterClient;
import com.amazonaws.services.dynamodbv2.streamsadapter.AmazonDynamoDBStreamsAdapterClient.SkipRecordsBehavior;
import com.amazonaws.services.dynamodbv2.streamsadapter.StreamsSchedulerFactory;
import java.io.FileReader;
import java.io.IOException;
import java.io.Reader;
import java.util.Collections;
import java.util.Properties;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.multilang.MultiLangDaemonConfig;
import software.amazon.kinesis.multilang.config.MultiLangDaemonConfiguration;

/**
 * The KCL 3 MultiLangDaemon on DynamoDB Streams: runs an amazon_kclpy processor, one child process per shard.
 *
 * <p>The adapter has none for KCL 3 (its issue 46). Argument: a properties file, made by daemon/kcl/properties.py.
 */
public final class StreamsDaemon {
    static final int EXIT_STOPPED = 0;
    static final int EXIT_FAILED = 1;  // a child died, or the KCL could not start: replay from the checkpoints
    static final int EXIT_FORCED = 43; // an orderly stop took too long: the last batches will be replayed
    static final int EXIT_GAP = 44;    // records that were never read have left the stream
    private static final Logger LOG = LoggerFactory.getLogger(StreamsDaemon.class);

    private StreamsDaemon() { }

    public static void main(String[] arguments) throws IOException {
        Properties ours = new Properties();
        try (Reader file = new FileReader(arguments[0])) {
            ours.load(file);
        }
        // Parses every property of the KCL and makes the factory that starts `executableName` for each shard.
        MultiLangDaemonConfig multiLang = new MultiLangDaemonConfig(arguments[0]);
        MultiLangDaemonConfiguration parsed = multiLang.getMultiLangDaemonConfiguration();
        String streamArn = parsed.getStreamName(); // `streamArn` would be validated as a Kinesis ARN
        Side stream = Side.of(ours, "stream");
        Clients clients = new Clients(stream, Side.of(ours, "leases"));
        DynamoDbAsyncClient dynamoDb = clients.dynamoDb();
        AmazonDynamoDBStreamsAdapterClient adapter = new AmazonDynamoDBStreamsAdapterClient(
                clients.streams(streamArn, KclConfigs.number(ours, "idleMillis")), stream.region);
        // The adapter's default skips lost records with a mere warning. GapDetector is quicker; this makes sure.
        adapter.setSkipRecordsBehavior(SkipRecordsBehavior.KCL_RETRY);
        ConfigsBuilder builder = new ConfigsBuilder(
                StreamsSchedulerFactory.createSingleStreamTracker(LocalArn.shown(streamArn), fromTheBeginning()),
                parsed.getApplicationName(), adapter, dynamoDb, clients.cloudWatch(), parsed.getWorkerIdentifier(),
                () -> new Bridge(multiLang.getRecordProcessorFactory().shardRecordProcessor()));
        KclConfigs configs = new KclConfigs(builder, adapter, LocalArn.shown(streamArn));
        configs.fill(parsed);
        configs.override(ours);
        dropOwnLeaderLock(dynamoDb, configs.coordinator.coordinatorStateTableConfig().tableName(),
                parsed.getWorkerIdentifier());
        Scheduler scheduler = configs.scheduler();
        new Stopping(scheduler, parsed.getShutdownGraceMillis(), configs.lease.failoverTimeMillis()).install();
        FirstStart.prepare(dynamoDb, scheduler, configs.lease.tableName());
        HandOver.watch(scheduler, configs.lease.failoverTimeMillis());
        scheduler.run(); // returns after an orderly stop, or when initialisation has failed 20 times
        System.exit(scheduler.hasGracefulShutdownStarted() ? EXIT_STOPPED : EXIT_FAILED);
    }

    /** LATEST would lose everything before the first look at the shards. */
    private static InitialPositionInStreamExtended fromTheBeginning() {
        return InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
    }

    /** The worker's id is stable, so a lock in its name was left by an earlier run that crashed: do not wait for it. */
    private static void dropOwnLeaderLock(DynamoDbAsyncClient dynamoDb, String table, String workerId) {
        try {
            dynamoDb.deleteItem(request -> request.tableName(table)
                    .key(Collections.singletonMap("key", AttributeValue.builder().s("Leader").build()))
                    .conditionExpression("ownerName = :me")
                    .expressionAttributeValues(
                            Collections.singletonMap(":me", AttributeValue.builder().s(workerId).build()))).join();
            LOG.info("removed the leader lock left by an earlier run of {}", workerId);
        } catch (RuntimeException error) {
            LOG.debug("no leader lock of ours in {}", table, error); // no table yet, no lock, or somebody else's
        }
    }
}
