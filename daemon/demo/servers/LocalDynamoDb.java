import com.amazonaws.services.dynamodbv2.local.server.LocalDynamoDBRequestHandler;
import com.amazonaws.services.dynamodbv2.local.server.LocalDynamoDBServerHandler;
import com.amazonaws.services.dynamodbv2.local.shared.access.AmazonDynamoDBLocal;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Map;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.handler.ContextHandler;

/**
 * DynamoDB Local in memory, and beside it a control port for what AWS does by itself and a test cannot wait for:
 * GET /rollover closes every open shard and opens its child; GET /age?ms=N makes all stream data N ms older.
 *
 * <p>Arguments: port, control port.
 */
public final class LocalDynamoDb {
    private final LocalDynamoDBRequestHandler handler = new LocalDynamoDBRequestHandler(0, true, null, true, false);

    public static void main(String[] arguments) throws Exception {
        LocalDynamoDb server = new LocalDynamoDb();
        // Not DynamoDBProxyServer: that listens on every address of the machine.
        Server data = new Server(loopback(arguments[0]));
        data.setHandler(new ContextHandler(new LocalDynamoDBServerHandler(server.handler, null)));
        data.start();
        HttpServer control = HttpServer.create(loopback(arguments[1]), 0);
        control.createContext("/", server::control);
        control.start();
        System.out.println("ready");
    }

    private static InetSocketAddress loopback(String port) {
        return new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(port));
    }

    private void control(HttpExchange exchange) throws IOException {
        String answer = "ok";
        int status = 200;
        try {
            act(exchange.getRequestURI().getPath(), exchange.getRequestURI().getQuery());
        } catch (ReflectiveOperationException | RuntimeException error) {
            answer = error.toString();
            status = 500;
        }
        exchange.sendResponseHeaders(status, 0);
        exchange.getResponseBody().write(answer.getBytes());
        exchange.close();
    }

    private void act(String path, String query) throws ReflectiveOperationException {
        // The databases are private to the handler, one per access key.
        Field databases = LocalDynamoDBRequestHandler.class.getDeclaredField("dbRequestHandlers");
        databases.setAccessible(true);
        for (Object database : ((Map<?, ?>) databases.get(handler)).values()) {
            AmazonDynamoDBLocal local = (AmazonDynamoDBLocal) database;
            if (path.equals("/rollover")) {
                local.triggerShardRollovers();
            } else {
                local.dilateEventTimes(Long.parseLong(query.substring("ms=".length())));
            }
        }
    }
}
