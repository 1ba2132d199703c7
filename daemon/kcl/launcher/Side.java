import java.net.URI;
import java.util.Properties;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sts.StsClient;
import software.amazon.awssdk.services.sts.auth.StsAssumeRoleCredentialsProvider;

/**
 * One side: its region, its endpoint where that is not AWS's own, and whose credentials it is asked with.
 *
 * <p>MultiLang has credentials providers too, of which it builds one; the stream and the lease tables may lie in two
 * accounts. The provider is the same as MultiLang would wrap: it renews a role's credentials before they end.
 */
final class Side {
    private static final Logger LOG = LoggerFactory.getLogger(Side.class);

    final Region region;
    private final String endpoint;
    private final AwsCredentialsProvider credentials;

    private Side(Region region, String endpoint, AwsCredentialsProvider credentials) {
        this.region = region;
        this.endpoint = endpoint;
        this.credentials = credentials;
    }

    /** As the properties tell of it, whose names begin with `name`. */
    static Side of(Properties ours, String name) {
        AwsCredentialsProvider own = DefaultCredentialsProvider.builder().build();
        boolean role = ours.containsKey(name + "RoleArn");
        return new Side(Region.of(ours.getProperty(name + "Region")), ours.getProperty(name + "Endpoint"),
                role ? ofRole(ours, name, own) : own);
    }

    /** A client's builder, set on this side. */
    <B extends AwsClientBuilder<B, ?>> B on(B builder) {
        builder.region(region).credentialsProvider(credentials);
        return endpoint == null ? builder : builder.endpointOverride(URI.create(endpoint));
    }

    private static AwsCredentialsProvider ofRole(Properties ours, String name, AwsCredentialsProvider own) {
        var sts = StsClient.builder().credentialsProvider(own).region(Region.of(ours.getProperty(name + "StsRegion")));
        if (ours.containsKey(name + "StsEndpoint")) {
            sts.endpointOverride(URI.create(ours.getProperty(name + "StsEndpoint")));
        }
        StsAssumeRoleCredentialsProvider provider = StsAssumeRoleCredentialsProvider.builder()
                .stsClient(sts.build())
                .refreshRequest(request -> request
                        .roleArn(ours.getProperty(name + "RoleArn"))
                        .roleSessionName(ours.getProperty("roleSessionName"))
                        .externalId(ours.getProperty(name + "ExternalId")))
                .build();
        taken(provider, ours.getProperty(name + "RoleArn"));
        return provider;
    }

    /** Now, for the KCL would try 20 times, and say it in 20 stack traces. */
    private static void taken(AwsCredentialsProvider provider, String role) {
        try {
            provider.resolveCredentials();
        } catch (SdkException error) {
            LOG.error("the role {} cannot be taken: {} `moveout check` tells what must be granted", role,
                    error.getMessage());
            System.exit(StreamsDaemon.EXIT_FAILED);
        }
    }
}
