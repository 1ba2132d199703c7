import os

import pytest

# Stand-ins take any credentials; the real chain of this machine must never be asked.
os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
)


def pytest_addoption(parser):
    parser.addoption("--seeds", type=int, default=300, help="how many histories the simulator plays (make test: 5000)")
    parser.addoption("--seed", type=int, default=None, help="play this one history again")
    parser.addoption("--crash-points", choices=["some", "most"], default="some", help="crash where")
    parser.addoption("--mutants", action="store_true", help="run every planted bug (some minutes)")
    parser.addoption("--deploy", action="store_true", help="build and run what is deployed (some minutes)")


@pytest.fixture(scope="session")  # so that what is built once for a file can ask for it
def deploy_only(request):
    """Skips what takes minutes, unless it was asked for."""
    if not request.config.getoption("--deploy"):
        pytest.skip("takes minutes: make deploy-test")


def pytest_unconfigure(config):
    """Name what failed once more, a line each, behind everything else: of a long log only the end may be kept."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    failed = [report for kind in ("error", "failed") for report in reporter.stats.get(kind, ())] if reporter else []
    for report in failed[:20]:
        crash = getattr(report.longrepr, "reprcrash", None)
        why = (crash.message if crash else str(report.longrepr)).partition("\n")[0]
        reporter.write_line(f"{report.outcome} in {report.when}: {report.nodeid}: {why[:160]}")
    if len(failed) > len(failed[:20]):
        reporter.write_line(f"and {len(failed) - 20} more")
