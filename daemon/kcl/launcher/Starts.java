import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Lets few child processes start at once.
 *
 * <p>A start is work for a processor: modules, a connection. A worker that is given many shards would start them all,
 * and starve itself meanwhile: its leases end unrenewed, it lets go of its shards, and starts every child once more.
 */
final class Starts {
    /** Who takes longer waits, for its target for example, and works no more: the next one may start. */
    private static final int SECONDS_MAX = 5;
    private static final Semaphore ROOM = new Semaphore(Runtime.getRuntime().availableProcessors());

    private Starts() { }

    /** Runs it when there is room. */
    static void run(Runnable start) {
        ROOM.acquireUninterruptibly();
        AtomicBoolean left = new AtomicBoolean();
        Runnable leave = () -> {
            if (left.compareAndSet(false, true)) {
                ROOM.release();
            }
        };
        CompletableFuture.delayedExecutor(SECONDS_MAX, TimeUnit.SECONDS).execute(leave);
        try {
            start.run();
        } finally {
            leave.run();
        }
    }
}
