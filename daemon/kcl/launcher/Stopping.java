import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.coordinator.Scheduler;
import sun.misc.Signal;

/**
 * An orderly stop on SIGTERM, on SIGINT, or when stdin ends because the supervisor is gone.
 *
 * <p>Signal handlers, not a shutdown hook: when a child dies, MultiLang calls System.exit(1) while it holds that shard's
 * monitor, and a hook would wait for that shard until its grace had run out.
 */
final class Stopping {
    private static final Logger LOG = LoggerFactory.getLogger(Stopping.class);
    private static final long MARGIN_MILLIS = 5_000;

    private final Scheduler scheduler;
    private final long graceMillis;
    private final long failoverMillis;
    private final AtomicBoolean begun = new AtomicBoolean();

    Stopping(Scheduler scheduler, long graceMillis, long failoverMillis) {
        this.scheduler = scheduler;
        this.graceMillis = graceMillis;
        this.failoverMillis = failoverMillis;
    }

    /** Listen for all that asks to stop. */
    void install() {
        Signal.handle(new Signal("TERM"), signal -> begin());
        Signal.handle(new Signal("INT"), signal -> begin());
        daemon("stdin", this::watchStdin);
    }

    static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void watchStdin() {
        try {
            while (System.in.read() >= 0) {
                // Nothing is ever sent: only the end matters.
            }
        } catch (IOException error) {
            LOG.debug("stdin", error);
        }
        begin();
    }

    private void begin() {
        if (!begun.compareAndSet(false, true)) {
            return; // a second signal
        }
        // First: while the scheduler still initialises (an empty lease table), shutdown() waits for its lock.
        daemon("stop-watchdog", this::halt);
        new Thread(this::drain, "stop").start();
    }

    /**
     * Every child gets shutdownRequested, its last checkpoint, then leaseLost. KCL's future never ends while a shard
     * still waits for its parent, which is normal in a backlog: so the children are counted here.
     */
    private void drain() {
        CompletableFuture<Boolean> done = scheduler.startGracefulShutdown();
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(graceMillis);
        while (!done.isDone() && Bridge.LIVE.get() > 0 && System.nanoTime() < end) {
            pause(100);
        }
        scheduler.shutdown(); // drops leases and leader lock; run() returns within the fail-over time
    }

    private void halt() {
        pause((Bridge.LIVE.get() > 0 ? graceMillis : 0) + failoverMillis + MARGIN_MILLIS);
        Runtime.getRuntime().halt(Bridge.LIVE.get() > 0 ? StreamsDaemon.EXIT_FORCED : StreamsDaemon.EXIT_STOPPED);
    }

    private static void daemon(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
    }
}
