import itertools

from daemon.supervise import BACKOFF_SECONDS_MAX, HEALTHY_SECONDS, Kept


class Child:
    """A process that ends when told."""

    ids = itertools.count(1)

    def __init__(self):
        self.pid = next(self.ids)
        self.code = None

    def poll(self):
        return self.code

    def stop(self, grace_seconds):  # noqa: ARG002  the real one's signature
        self.code = -15
        return self.code


class World:
    """Time, and the children started so far."""

    def __init__(self, final=lambda code: code == 0):
        self.now = 0.0
        self.children = []
        self.kept = Kept("child", self.start, final, now=lambda: self.now)
        self.kept.tick()

    def start(self):
        self.children.append(Child())
        return self.children[-1]

    def end(self, code, after=1.0):
        self.now += after
        self.children[-1].code = code
        self.kept.tick()

    def pause(self):
        """Seconds until the next child."""
        before, began = len(self.children), self.now
        while len(self.children) == before:
            self.now += 0.1
            self.kept.tick()
        return self.now - began


def test_a_child_that_ends_is_started_again():
    world = World()
    world.end(1)
    world.pause()
    assert (len(world.children), world.kept.restarts, world.kept.exit_code) == (2, 1, 1)


def test_pauses_grow_up_to_a_bound_and_start_anew_after_a_healthy_run():
    world = World()
    pauses = []
    for _ in range(12):
        world.end(1)
        pauses.append(world.pause())
    assert pauses[0] <= 1.2
    assert max(pauses) <= BACKOFF_SECONDS_MAX + 0.2
    assert pauses[-1] > 20
    world.end(1, after=HEALTHY_SECONDS + 1)
    assert world.pause() <= 1.2


def test_a_process_that_fails_for_days_is_still_started_again():
    world = World()
    for _ in range(1100):  # doubled so often, a pause would be no number any more
        world.end(1)
        world.now += BACKOFF_SECONDS_MAX
        world.kept.tick()
    assert world.kept.restarts == 1100


def test_pauses_differ_so_that_replicas_do_not_start_together():
    assert len({round(_first_pause(), 2) for _ in range(20)}) > 3


def _first_pause():
    world = World()
    for _ in range(6):
        world.end(1)
        pause = world.pause()
    return pause


def test_a_final_end_is_final():
    world = World()
    world.end(0)
    world.now += 1000
    world.kept.tick()
    assert (len(world.children), world.kept.finished, world.kept.running) == (1, True, False)


def test_a_stopped_child_tells_its_code():
    world = World()
    world.kept.stop(1.0)
    assert (world.kept.exit_code, world.kept.running) == (-15, False)
