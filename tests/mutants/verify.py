"""Bugs of a comparison: it cries wolf, or it sees nothing."""

from mutants.mutant import Mutant

RULES, SETTLE, COMPARISON = "daemon/verify/rules.py", "daemon/verify/settle.py", "daemon/verify/comparison.py"
WORLD, UNIT = "tests/property/test_verification.py", "tests/unit/test_verify_rules.py"

VERIFY = (
    Mutant(
        "the proof that was waited for began before the source was read",
        "what the source shows need not be applied: false alarms under live writes",
        SETTLE,
        "        source = self._sides.source(keys)\n        self._proofs.wait_beyond(self._proofs.begun())\n",
        "        begun = self._proofs.begun()\n        source = self._sides.source(keys)\n"
        "        self._proofs.wait_beyond(begun - 1)\n",
        WORLD,
    ),
    Mutant(
        "absent twice is absent throughout",
        "a key that is put and deleted again and again is a false alarm",
        SETTLE,
        "if found.doubt.key in untouched)\n        rest",
        "if True)\n        rest",
        WORLD,
    ),
    Mutant(
        "two versions are one",
        "a row that was written in between is called damaged",
        RULES,
        "    return first.version == second.version",
        "    return True",
        UNIT,
    ),
    Mutant(
        "what the target lists is not asked of the source",
        "a deletion that was never applied stays unseen",
        COMPARISON,
        "            if nobodys or rules.chosen(hashed, self._run.id, self._shares.live):",
        "            if nobodys:",
        WORLD,
    ),
    Mutant(
        "a row that the export does not know is not looked at",
        "rows of another writer stay unseen but for a share",
        COMPARISON,
        "version in self._versions and hashed not in self._known",
        "False",
        WORLD,
    ),
    Mutant(
        "how far it is comes before what was found",
        "a run that is killed forgets what was in doubt",
        COMPARISON,
        "        doubts, self._doubts = self._doubts, []\n",
        "        doubts, self._doubts = self._doubts, []\n"
        "        for early, told in self._pending.items():\n"
        "            self._records.control.update(PARTS + early, PartProgress, lambda _, p=told: p)\n"
        "        self._ports.wanted()\n",
        WORLD,
    ),
    Mutant(
        "an old clean run speaks for a new generation",
        "ready without a look at what a resync has loaded",
        "daemon/verify/judged.py",
        "run.generation == generation else None",
        "run.generation else run",
        "tests/unit/test_verify_keeping.py",
    ),
)
