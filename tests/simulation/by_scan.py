"""A move by scan, of a table without exports."""

from simulation.world import World

from daemon.sections import Scan


class ScanWorld(World):
    """A move by scan. Before the anchor a lost stream costs no more than some minutes."""

    def _before(self):
        super()._before()
        self._by_scan()

    def _by_scan(self):
        consistent = self.chance.random() < 0.3
        scan = Scan(
            segments=self.chance.choice((1, 3)), page_items=self.chance.choice((1, 2, 5)), consistent=consistent
        )
        backfill = self.config.backfill.model_copy(update={"from_": "scan", "manifest": None, "scan": scan})
        letters = self.config.dead_letters.model_copy(update={"to": "s3://exports/letters"})
        self.config = self.config.model_copy(update={"backfill": backfill, "dead_letters": letters})

    def _export_again(self):
        if not self.source.enabled:
            self.source.enable()
