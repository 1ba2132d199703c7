import java.net.URI;
import java.time.Duration;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.awscore.retry.AwsRetryStrategy;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;

/** The AWS clients, all on one region, one set of credentials and, for stand-ins, one endpoint. */
final class Clients {
    private static final int ATTEMPTS = 10;

    private final Region region;
    private final AwsCredentialsProvider credentials;
    private final String endpoint;

    Clients(Region region, AwsCredentialsProvider credentials, String endpoint) {
        this.region = region;
        this.credentials = credentials;
        this.endpoint = endpoint;
    }

    /** For the lease tables. */
    DynamoDbAsyncClient dynamoDb() {
        return on(DynamoDbAsyncClient.builder()).build();
    }

    /** Demanded by the KCL; never called while its metrics are off. */
    CloudWatchAsyncClient cloudWatch() {
        return on(CloudWatchAsyncClient.builder()).build();
    }

    /** For the stream itself. */
    DynamoDbStreamsClient streams(String streamArn, long idleMillis) {
        BackoffStrategy backoff = BackoffStrategy.exponentialDelay(Duration.ofMillis(100), Duration.ofSeconds(10));
        return on(DynamoDbStreamsClient.builder())
                .overrideConfiguration(options -> options
                        .retryStrategy(AwsRetryStrategy.standardRetryStrategy().toBuilder()
                                .maxAttempts(ATTEMPTS).throttlingBackoffStrategy(backoff).build())
                        .addExecutionInterceptor(new GapDetector())
                        .addExecutionInterceptor(new LocalArn(streamArn))
                        .addExecutionInterceptor(new EmptyPagePause(idleMillis)))
                .build();
    }

    private <B extends AwsClientBuilder<B, ?>> B on(B builder) {
        builder.region(region).credentialsProvider(credentials);
        return endpoint == null ? builder : builder.endpointOverride(URI.create(endpoint));
    }
}
