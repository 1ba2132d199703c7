import com.amazonaws.services.dynamodbv2.streamsadapter.AmazonDynamoDBStreamsAdapterClient;
import com.amazonaws.services.dynamodbv2.streamsadapter.StreamsSchedulerFactory;
import com.amazonaws.services.dynamodbv2.streamsadapter.polling.DynamoDBStreamsPollingConfig;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.lifecycle.LifecycleConfig;
import software.amazon.kinesis.metrics.MetricsConfig;
import software.amazon.kinesis.metrics.MetricsLevel;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.multilang.config.ConfigurationSettableUtils;
import software.amazon.kinesis.multilang.config.MultiLangDaemonConfiguration;
import software.amazon.kinesis.processor.ProcessorConfig;
import software.amazon.kinesis.retrieval.RetrievalConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * The KCL's configuration objects, filled from MultiLang's properties and from ours that MultiLang does not know.
 *
 * <p>The same steps as MultiLangDaemonConfiguration.resolvedConfiguration(), which is package-private.
 */
final class KclConfigs {
    private static final int RECORDS_MAX = 1000; // DynamoDB Streams' own maximum
    // A shard's start and end take four turns of the KCL's main loop each; a turn only looks at the shards in memory.
    private static final long DISPATCH_MILLIS = 250; // default: a second
    private static final int LOCAL_IDLE_MILLIS = 20; // between pages with records: see EmptyPagePause

    private final ConfigsBuilder builder;
    private final AmazonDynamoDBStreamsAdapterClient adapter;
    private final DynamoDBStreamsPollingConfig polling;
    final CoordinatorConfig coordinator;
    final LeaseManagementConfig lease;
    private final LifecycleConfig lifecycle;
    private final MetricsConfig metrics;
    private final ProcessorConfig processor;

    KclConfigs(ConfigsBuilder builder, AmazonDynamoDBStreamsAdapterClient adapter, String streamArn) {
        this.builder = builder;
        this.adapter = adapter;
        this.polling = new DynamoDBStreamsPollingConfig(streamArn, adapter);
        this.coordinator = builder.coordinatorConfig();
        this.lease = builder.leaseManagementConfig();
        this.lifecycle = builder.lifecycleConfig();
        this.metrics = builder.metricsConfig();
        this.processor = builder.processorConfig();
    }

    /** Everything that MultiLang's properties can say. */
    void fill(MultiLangDaemonConfiguration from) {
        Map<Class<?>, Object> targets = new HashMap<>();
        for (Object config : new Object[] {coordinator, lease, lifecycle, metrics, processor}) {
            targets.put(config.getClass(), config);
        }
        targets.put(PollingConfig.class, polling);
        ConfigurationSettableUtils.resolveFields(from, targets, null, Collections.singleton(ConfigsBuilder.class));
        ConfigurationSettableUtils.resolveFields(from.getPollingConfig(), targets, null, null);
        LeaseManagementConfig.WorkerUtilizationAwareAssignmentConfig assignment =
                lease.workerUtilizationAwareAssignmentConfig();
        ConfigurationSettableUtils.resolveFields(
                from.getGracefulLeaseHandoffConfigBean(), lease.gracefulLeaseHandoffConfig());
        ConfigurationSettableUtils.resolveFields(from.getWorkerUtilizationAwareAssignmentConfigBean(), assignment);
        ConfigurationSettableUtils.resolveFields(
                from.getWorkerMetricStatsTableConfigBean(), assignment.workerMetricsTableConfig());
        ConfigurationSettableUtils.resolveFields(
                from.getCoordinatorStateTableConfigBean(), coordinator.coordinatorStateTableConfig());
    }

    /** What MultiLang's properties cannot say. */
    void override(Properties ours) {
        coordinator.shardConsumerDispatchPollIntervalMillis(DISPATCH_MILLIS);
        coordinator.skipShardSyncAtWorkerInitializationIfLeasesExist(true); // the adapter forces it, with a warning
        lease.leasesRecoveryAuditorInconsistencyConfidenceThreshold(0);     // ditto: a shard sync at every audit
        lease.leasesRecoveryAuditorExecutionFrequencyMillis(number(ours, "shardAuditIntervalMillis"));
        lease.dynamoDbLockBasedLeaderLeaseDurationInMillis(number(ours, "leaderLeaseMillis")); // default: 120 s
        lease.dynamoDbLockBasedLeaderHeartbeatPeriodInMillis(number(ours, "leaderHeartbeatMillis"));
        lease.billingMode(BillingMode.PAY_PER_REQUEST);
        polling.maxRecords(RECORDS_MAX);
        polling.idleTimeBetweenReadsInMillis(LOCAL_IDLE_MILLIS);
        polling.maxPendingProcessRecordsInput((int) number(ours, "maxPendingProcessRecordsInput"));
        if (metrics.metricsLevel() == MetricsLevel.NONE) {
            metrics.metricsFactory(new NullMetricsFactory());
        }
    }

    Scheduler scheduler() {
        RetrievalConfig retrieval = builder.retrievalConfig();
        retrieval.retrievalSpecificConfig(polling);
        return StreamsSchedulerFactory.createScheduler(builder.checkpointConfig(), coordinator, lease, lifecycle,
                metrics, processor, retrieval, adapter);
    }

    /** A property that our own renderer always writes. */
    static long number(Properties ours, String key) {
        String value = ours.getProperty(key);
        if (value == null) {
            throw new IllegalArgumentException("property " + key + " is missing: the file is made by moveout, not by hand");
        }
        return Long.parseLong(value.trim());
    }
}
