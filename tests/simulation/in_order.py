"""A move into a target without versions: DynamoDB, mode `ordered`."""

from simulation import dynamodb_wire
from simulation.faults import Fault
from simulation.kcl import Jvm
from simulation.replicas import Replica
from simulation.targets import SimulatedOrdered
from simulation.world import World


class OrderedWorld(World):
    """One replica, no stolen leases, no late requests, no loss of the stream: the last cannot be healed in place."""

    def __init__(self, seed, **settings):
        super().__init__(seed, sink="dynamodb", **settings)
        self.replicas = [Replica(self, 0)]
        self.clock.idle = self._meanwhile
        self.held = 0

    def _make_target(self, kind, rate):
        super()._make_target(kind, rate)
        self.sink_kind, self.poisonous = SimulatedOrdered, False
        self.sink_faults.kinds = tuple(kind for kind in dynamodb_wire.FAULTS if kind is not Fault.LATE)

    def _configured(self):
        config = super()._configured()
        return config.model_copy(update={"target": config.target.model_copy(update={"mode": "ordered"})})

    def steals(self):
        return False

    def _adversity(self):
        for _ in range(self.steps):
            self.step()

    def _actors(self):
        """A shard that waits in the middle of another's step would wait for one that cannot go on."""
        found = super()._actors()
        return [actor for actor in found if not isinstance(actor, Jvm)] if self.depth else found

    def _meanwhile(self):
        """While a shard's process sleeps, the others go on, also in calm."""
        if isinstance(self.actors_now[-1], Jvm):
            self.held += 1
            self.step()
            self.may_crash()
        else:
            self.between()
