"""The pytest plugin, as a user's project meets it. Each test runs pytest on a small project."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

MESSAGES = """
import asyncio, dataclasses, pytest
import numpy as np
from p2n2sim.wire import Message
from p2n2sim.net.simloop import SimLoop

@dataclasses.dataclass(frozen=True, slots=True)
class Vote(Message):
    pass

async def voter(end):
    end.send("C", Vote(0))

async def counter(end):
    "Believes that A's vote is always there when B's is."
    await end.recv("B", Vote)
    assert end.mailbox("A", Vote), "A has not voted"
"""
OPTIONS = (
    "-p",
    "p2n2sim.testing.plugin",
    "-p",
    "no:cacheprovider",
    "-o",
    "asyncio_default_fixture_loop_scope=function",
)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty project with strict markers."""
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    return pytester


def run(project: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    """Runs pytest on one file of tests."""
    project.makepyfile(test_user=MESSAGES + textwrap.dedent(tests))
    return project.runpytest_inprocess(*OPTIONS, *options)


RACE = """
@pytest.mark.schedules(50)
def test_votes(world):
    world.run(A=voter, B=voter, C=counter)
"""


def test_a_race_is_found_and_the_first_failing_seed_replays_it(project: pytest.Pytester) -> None:
    """The failure names the seed and the command; the command fails, the seed before passes."""
    result = run(project, RACE)
    result.assert_outcomes(failed=1)
    (line,) = [line for line in result.outlines if line.startswith("seed ")]
    seed = int(line.split()[1].rstrip(":"))
    assert line == f"seed {seed}: pytest 'test_user.py::test_votes' --schedule-seed {seed}"
    result.stdout.fnmatch_lines(
        [
            "*A has not voted*",
            f"*schedule {seed} failed*replay it: pytest 'test_user.py::test_votes' --schedule-seed {seed}",
        ]
    )
    run(project, RACE, "--schedule-seed", str(seed)).assert_outcomes(failed=1)
    for passing in range(seed):
        run(project, RACE, "--schedule-seed", str(passing)).assert_outcomes(passed=1)


def test_the_race_is_not_found_without_schedules(project: pytest.Pytester) -> None:
    """First come first served hides the planted race; --schedule-seed reaches the test all the same."""
    plain = RACE.replace("@pytest.mark.schedules(50)", "")
    run(project, plain).assert_outcomes(passed=1)
    outcomes = [run(project, plain, "--schedule-seed", str(seed)).parseoutcomes() for seed in range(6)]
    assert {"failed": 1} in outcomes


def test_a_failure_shows_the_messages_of_the_run(project: pytest.Pytester) -> None:
    """Any assertion in a test with a world is answered with the table of messages."""
    result = run(
        project,
        "def test_it(world):\n    world.run(A=voter, C=counter, B=voter)\n    assert world.rounds == 3\n",
    )
    result.stdout.fnmatch_lines(
        ["*Messages of the latest run*", "*sent*arrived*", "*A->C*Vote*", "*B->C*Vote*"]
    )


def test_asynchronous_tests_with_a_world_run_in_virtual_time(project: pytest.Pytester) -> None:
    """In strict mode, without any other marker; a seed of the command line reaches their loop."""
    tests = """
    async def test_a_day(world):
        await asyncio.sleep(86400)
        await world.run(A=voter, B=voter, C=counter)
        assert asyncio.get_running_loop().time() == 86401

    @pytest.mark.virtual_time
    async def test_marked():
        assert isinstance(asyncio.get_running_loop(), SimLoop)
        assert asyncio.get_running_loop().schedule == {seed}
    """
    run(project, tests.format(seed=None)).assert_outcomes(passed=2)
    run(project, tests.format(seed=4), "--schedule-seed", "4", "-k", "marked").assert_outcomes(passed=1)


def test_asynchronous_tests_under_schedules(project: pytest.Pytester) -> None:
    """Every seed has a loop of its own that begins at time 0, with the test's arguments, in classes too."""
    tests = """
    seen = []

    @pytest.fixture
    def three():
        return 3

    class TestIt:
        @pytest.mark.parametrize("base", [10])
        @pytest.mark.schedules(5)
        async def test_it(self, base, three, world):
            assert (base, three) == (10, 3)
            loop = asyncio.get_running_loop()
            assert loop.time() == 0
            seen.append((loop.schedule, world.schedule))
            await world.run(A=voter, B=voter, C=lambda end: end.recv("A", Vote))

    def test_seeds():
        assert seen == [(seed, seed) for seed in range(5)]
    """
    run(project, tests).assert_outcomes(passed=2)


def test_hypothesis_under_schedules(project: pytest.Pytester) -> None:
    """Asynchronous and ordinary tests of hypothesis run their examples under every seed."""
    tests = """
    from hypothesis import HealthCheck, given, settings, strategies as st
    seen, plain = set(), set()

    @pytest.mark.schedules(3)
    @given(x=st.integers(0, 5))
    @settings(max_examples=5, database=None)
    async def test_it(x):
        seen.add(asyncio.get_running_loop().schedule)

    @pytest.mark.schedules(2)
    @given(x=st.integers(0, 5))
    @settings(max_examples=5, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_plain(world, x):
        world.run(A=voter, B=voter, C=lambda end: end.recv("A", Vote))
        plain.add(world.schedule)

    def test_seeds():
        assert seen == {0, 1, 2}
        assert plain == {0, 1}
    """
    run(project, tests).assert_outcomes(passed=3)


def test_a_wrong_marker_is_told(project: pytest.Pytester) -> None:
    """schedules needs a number."""
    result = run(project, RACE.replace("schedules(50)", "schedules"))
    result.stdout.fnmatch_lines(["*say how many schedules, as in pytest.mark.schedules(200)*"])


def test_schedules_without_effect_are_told(project: pytest.Pytester) -> None:
    """A test that no schedule can reach does not pass as if it had been run under many."""
    result = run(project, "@pytest.mark.schedules(5)\ndef test_it():\n    pass\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*schedules reach an ordinary test by the fixture world*"])


def test_the_loops_of_other_tests_are_left_alone(project: pytest.Pytester) -> None:
    """Their loop is asyncio's own, or that of the project's own hook; fixtures of a session keep theirs."""
    tests = """
    import pytest_asyncio

    @pytest_asyncio.fixture(scope="session", loop_scope="session")
    async def session_loop():
        return asyncio.get_running_loop()

    @pytest.mark.asyncio(loop_scope="session")
    async def test_session(session_loop):
        assert asyncio.get_running_loop() is session_loop

    @pytest.mark.asyncio
    async def test_plain(request):
        assert type(asyncio.get_running_loop()).__name__ == {loop!r}
        assert request.node.name == "test_plain"

    async def test_virtual(world):
        assert isinstance(asyncio.get_running_loop(), SimLoop)
    """
    run(project, tests.format(loop="_UnixSelectorEventLoop")).assert_outcomes(passed=3)
    project.makeconftest(
        "import asyncio\nclass Mine(asyncio.SelectorEventLoop): pass\n"
        "def pytest_asyncio_loop_factories(config, item):\n    return {'mine': Mine}\n"
    )
    run(project, tests.format(loop="Mine")).assert_outcomes(passed=3)


def test_a_world_of_the_users_own_is_no_world(project: pytest.Pytester) -> None:
    """A fixture that happens to have the name changes nothing; one made from the plugin's still counts."""
    tests = """
    @pytest.fixture
    def world():
        return "mine"

    @pytest.mark.asyncio
    async def test_mine(world):
        assert world == "mine"
        assert not isinstance(asyncio.get_running_loop(), SimLoop)

    class TestOther:
        @pytest.fixture
        def world(self, world):
            return world
    """
    run(project, tests).assert_outcomes(passed=1)
    tests = """
    from p2n2sim.net.link import LinkSpec
    from p2n2sim.net.topology import Topology

    @pytest.fixture
    def world(world):
        world.topology = Topology(LinkSpec(latency=7))
        return world

    async def test_slow(world):
        await world.run(A=voter, B=voter, C=counter)
        assert world.time == 7
    """
    run(project, tests).assert_outcomes(passed=1)


def test_without_pytest_asyncio(project: pytest.Pytester) -> None:
    """The plugin runs the asynchronous tests of a world itself."""
    tests = """
    async def test_it(world):
        await world.run(A=voter, B=voter, C=counter)
        assert isinstance(asyncio.get_running_loop(), SimLoop)

    @pytest.mark.schedules(5)
    def test_plain(world):
        world.run(A=voter, C=lambda end: end.recv("A", Vote))
    """
    project.makepyfile(test_user=MESSAGES + textwrap.dedent(tests))
    project.runpytest_inprocess(*OPTIONS[:-2], "-p", "no:asyncio").assert_outcomes(passed=2)


@pytest.mark.parametrize("schedules", ["", "@pytest.mark.schedules(3)"])
def test_a_run_that_is_never_awaited_fails_its_test(project: pytest.Pytester, schedules: str) -> None:
    """It would pass without having run anything, but for a warning."""
    tests = f"""
    {schedules}
    async def test_nothing(world):
        world.run(A=voter, B=voter, C=counter)
    """
    result = run(project, tests)
    result.stdout.fnmatch_lines(["E*TypeError: in an asynchronous test, write: await world.run(...)"])
    assert result.ret == 1


def test_seeds_are_not_negative(project: pytest.Pytester) -> None:
    """As on the simulator's own command line."""
    project.makepyfile("def test(): pass")
    result = project.runpytest_subprocess(*OPTIONS[:2], "--schedule-seed", "-1")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*error: argument --schedule-seed: -1 is negative; seeds are 0, 1, 2, ..."])


def test_anyio_alone_leaves_virtual_time_to_us(project: pytest.Pytester) -> None:
    """Its automatic mode does not take our tests, which would sleep for a day, where no pytest-asyncio is."""
    pytest.importorskip("anyio")
    tests = """
    @pytest.mark.virtual_time
    async def test_sleeps():
        await asyncio.sleep(86_400)

    async def test_ours(world):
        await world.run(A=voter, C=lambda end: end.recv("A", Vote))
        assert isinstance(asyncio.get_running_loop(), SimLoop)
    """
    project.makepyfile(test_user=MESSAGES + textwrap.dedent(tests))
    options = ("-p", "no:asyncio", "-p", "anyio", "-o", "anyio_mode=auto")
    outcomes = project.runpytest_inprocess(*OPTIONS[:-2], *options).parseoutcomes()
    assert outcomes.keys() == {"passed"}


@pytest.mark.parametrize("mode", [(), ("-o", "anyio_mode=auto"), ("-o", "asyncio_mode=auto")])
def test_beside_anyio(project: pytest.Pytester, mode: tuple[str, ...]) -> None:
    """Tests with anyio's marker run on anyio's backends; those with a world in virtual time."""
    pytest.importorskip("anyio")
    tests = """
    import anyio

    @pytest.mark.anyio
    async def test_theirs(anyio_backend):
        await anyio.sleep(0)
        if anyio_backend == "asyncio":
            assert not isinstance(asyncio.get_running_loop(), SimLoop)

    async def test_ours(world):
        await world.run(A=voter, B=voter, C=counter)
        assert isinstance(asyncio.get_running_loop(), SimLoop)

    @pytest.mark.schedules(5)
    async def test_schedules(world):
        await world.run(A=voter, B=voter, C=lambda end: end.recv("A", Vote))
        assert asyncio.get_running_loop().schedule == world.schedule
    """
    outcomes = run(project, tests, "-p", "anyio", *mode).parseoutcomes()
    assert outcomes.keys() == {"passed"}
    assert outcomes["passed"] >= 3


def test_the_plugin_is_light() -> None:
    """Loading it imports neither numpy nor pandas nor torch nor SimPy."""
    heavy = ("numpy", "pandas", "torch", "simpy")
    program = f"import sys, p2n2sim.testing.plugin; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_world_needs_no_torch() -> None:
    """A user's protocol tests never wait for torch."""
    program = "import sys, p2n2sim.testing.world; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_entry_point_is_declared() -> None:
    """Whoever installs the package has the plugin."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert '[project.entry-points.pytest11]\n"p2n2sim.testing.plugin" = "p2n2sim.testing.plugin"\n' in text
