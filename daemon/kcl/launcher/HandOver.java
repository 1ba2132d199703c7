import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.leases.Lease;

/**
 * Ends a hand-over that the KCL would leave open for ever.
 *
 * <p>To move a shard, the KCL marks its lease with the old and the new owner: the old one is to checkpoint and let go.
 * When that one does not read the shard, because it was killed meanwhile and is back under its stable name, or because
 * the shard still waits for its parent, KCL 3.3 does nothing (its pull request 1743). It may even go on renewing the
 * lease, and an expired one is never assigned to the owner that it has: nobody reads the shard from then on. A shard
 * that nobody reads needs no letting go, so it is given to the new owner at once.
 */
final class HandOver {
    private static final Logger LOG = LoggerFactory.getLogger(HandOver.class);

    private HandOver() { }

    /**
     * Once before the worker runs, for what was asked of an earlier run, then at intervals. In the table: a lease that
     * was lost before it was ever renewed is not in memory.
     */
    static void watch(Scheduler scheduler, long everyMillis) {
        look(scheduler);
        Thread thread = new Thread(() -> {
            while (!scheduler.shutdownComplete()) {
                Stopping.pause(everyMillis);
                look(scheduler);
            }
        }, "hand-over");
        thread.setDaemon(true);
        thread.start();
    }

    private static void look(Scheduler scheduler) {
        String me = scheduler.leaseCoordinator().workerIdentifier();
        try {
            for (Lease lease : scheduler.leaseRefresher().listLeases()) {
                boolean asked = lease.shutdownRequested() && me.equals(lease.checkpointOwner());
                if (asked && !reads(scheduler, lease.leaseKey())) {
                    end(scheduler, lease);
                }
            }
        } catch (Exception error) {
            LOG.warn("open hand-overs could not be looked for, it is tried again: {}", error.getMessage(), error);
        }
    }

    private static boolean reads(Scheduler scheduler, String shard) {
        return scheduler.shardInfoShardConsumerMap().entrySet().stream()
                .anyMatch(entry -> entry.getKey().shardId().equals(shard) && !entry.getValue().isShutdown());
    }

    /** Conditional on the lease's counter: a hand-over that has ended meanwhile is not touched. */
    private static void end(Scheduler scheduler, Lease lease) throws Exception {
        String to = lease.leaseOwner();
        if (scheduler.leaseRefresher().assignLease(lease, to)) {
            LOG.warn("shard {} was to be handed over to {}, nobody read it here: given away", lease.leaseKey(), to);
        }
    }
}
