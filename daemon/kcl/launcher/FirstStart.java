import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.awssdk.services.dynamodb.model.CreateTableRequest;
import software.amazon.awssdk.services.dynamodb.model.GlobalSecondaryIndex;
import software.amazon.awssdk.services.dynamodb.model.ProjectionType;
import software.amazon.awssdk.services.dynamodb.model.ResourceInUseException;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.leases.LeaseRefresher;
import software.amazon.kinesis.leases.dynamodb.DynamoDBLeaseSerializer;
import software.amazon.kinesis.lifecycle.TaskResult;

/**
 * Makes the lease table as the KCL would, and fills it, so that a first start does not wait.
 *
 * <p>On an empty lease table each worker of the KCL sleeps a random 1 to 30 seconds, lest a large fleet list the stream
 * at once; and it adds the table's index only afterwards, looking every 10 seconds whether it is there. We are a few
 * replicas, and every lease is created on condition that it does not exist: two that do this at once do no harm.
 */
final class FirstStart {
    private static final Logger LOG = LoggerFactory.getLogger(FirstStart.class);
    private static final String INDEX = "LeaseOwnerToLeaseKeyIndex"; // the KCL's name for it, not public there
    private static final long POLL_SECONDS = 1;
    private static final long ACTIVE_SECONDS_MAX = 120;

    private FirstStart() { }

    /** Whatever fails here is left to the KCL, which does the same again at its own pace, and tries it 20 times. */
    static void prepare(DynamoDbAsyncClient dynamoDb, Scheduler scheduler, String table) {
        try {
            LeaseRefresher leases = scheduler.leaseRefresher();
            create(dynamoDb, table);
            boolean ready = leases.waitUntilLeaseTableExists(POLL_SECONDS, ACTIVE_SECONDS_MAX)
                    && leases.waitUntilLeaseOwnerToLeaseKeyIndexExists(POLL_SECONDS, ACTIVE_SECONDS_MAX);
            if (ready && leases.isLeaseTableEmpty()) {
                fill(scheduler);
            }
        } catch (Exception error) {
            LOG.warn("the lease table could not be prepared, the KCL will do it: {}", error.getMessage(), error);
        }
    }

    /** Index included: added to a table that exists it would be built in the background. */
    private static void create(DynamoDbAsyncClient dynamoDb, String table) {
        DynamoDBLeaseSerializer schema = new DynamoDBLeaseSerializer();
        GlobalSecondaryIndex index = GlobalSecondaryIndex.builder()
                .indexName(INDEX)
                .keySchema(schema.getWorkerIdToLeaseKeyIndexKeySchema())
                .projection(projection -> projection.projectionType(ProjectionType.KEYS_ONLY))
                .build();
        CreateTableRequest request = CreateTableRequest.builder()
                .tableName(table)
                .keySchema(schema.getKeySchema())
                .attributeDefinitions(schema.getWorkerIdToLeaseKeyIndexAttributeDefinitions())
                .globalSecondaryIndexes(index)
                .billingMode(BillingMode.PAY_PER_REQUEST)
                .build();
        try {
            dynamoDb.createTable(request).join();
        } catch (CompletionException error) {
            if (!(error.getCause() instanceof ResourceInUseException)) { // it is there, or another replica is making it
                throw error;
            }
        }
    }

    /** The KCL's own sync of shards and leases, which it would run after its sleep. */
    private static void fill(Scheduler scheduler) throws Exception {
        for (StreamConfig stream : scheduler.currentStreamConfigMap().values()) {
            TaskResult done = scheduler.shardSyncTaskManagerProvider().apply(stream).callShardSyncTask();
            if (done.getException() != null) {
                throw done.getException();
            }
        }
    }
}
