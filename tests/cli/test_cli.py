"""The command line as a user meets it: README's promises, and one clear line for every mistake."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from stores import measured

from textbench import __version__
from textbench.cli import COMMANDS, cli
from textbench.cli.engines import choose_devices, prepare
from textbench.cli.run import command as run_command
from textbench.cli.run import exit_code
from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.plan import registry
from textbench.plan.codehash import code_hash
from textbench.plan.shipped import presets
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status, StatusName

TINY = "run --task synthetic-tiny --preset ci --device cpu"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    """Return a function that runs one command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(line: str) -> Result:
        result = CliRunner().invoke(cli, shlex.split(line), prog_name="textbench")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


Call = Callable[[str], Result]


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., RunDirectory]:
    """Return a function that writes a run without training it."""

    def write(trainer: str = "mle", seed: int = 0, status: StatusName = "done") -> RunDirectory:
        spec = Spec(
            trainer,
            1,
            {"epochs": 4},
            "synthetic-tiny",
            {},
            "f" * 64,
            {"hidden": 8},
            {"every": 1},
            seed,
            preset="ci",
            overrides={"mle.epochs": 4},
        )
        run = RunDirectory(spec.directory(tmp_path / "results"))
        run.create(spec)
        reason = "ValueError: no" if status == "failed" else ""
        run.write_status(Status(status, reason=reason, phase="mle", step=3, total=9))
        run.write_json("env.json", {"starts": [{"code": code_hash(trainer)}]})
        return run

    return write


# -- mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rnu", "unknown command 'rnu'; did you mean 'run'?"),
        ("--verson", "No such option '--verson'"),
        ("list --bad", "No such option '--bad'"),
        (f"{TINY} --algos cott", "unknown trainer 'cott'; did you mean 'cot'?"),
        (f"{TINY} --algos cot:hed", "unknown variant of cot 'hed'; did you mean 'head'?"),
        ("run --task synthetic-tiny --algos mle --preset fast", "unknown preset 'fast'"),
        ("run --algos mle --task synthetik", "unknown task 'synthetik'; did you mean 'synthetic'"),
        (f"{TINY} --algos mle --seeds ''", "--seeds is empty; leave it out, or give it a value"),
        (f"{TINY} --algos mle --preset ' '", "--preset is empty"),
        (
            f"{TINY} --algos mle --set mle.epochs=3 --set mle.epochs=4",
            "--set mle.epochs is given twice, as 3 and as 4; give one",
        ),
        (f"{TINY} --algos mle --memory 4", "--memory 4: expected a size with its unit"),
        (f"{TINY} --algos mle --set mle.epoch=3", "mle.epoch is not an option; did you mean"),
        (
            f"{TINY} --algos mle --set mle.epochs=many",
            "mle.epochs: Input should be a valid int",
        ),
        (f"{TINY} --algos mle --set mle.lr=-1.0", "mle.lr: Input should be greater than 0"),
        (f"{TINY} --algos mle --seeds 5:2", "--seeds 5:2: '5:2' is empty"),
        (f"{TINY} --algos mle --seeds one", "'one' is neither a seed nor a range"),
        (f"{TINY} --algos mle --jobs none", "Invalid value for '--jobs'"),
        (f"{TINY} --algos mle --jobs 0", "Invalid value for '--jobs'"),
        (
            "run --task synthetic-tiny --algos mle --device tpu",
            "--device tpu: expected auto, cpu, cuda",
        ),
        (f"{TINY} --algos mle --time-budget soon", "--time-budget soon: expected a duration"),
        (f"{TINY} --algos mle --checkpoint-every 0", "--checkpoint-every 0: expected a duration"),
        (f"{TINY} --algos mle --checkpoint-every {'1' * 5000}", "--checkpoint-every"),
        (f"run --task synthetic-tiny --algos mle --device cuda:{'1' * 5000}", "--device cuda:1"),
        ("check cot:head,mle", "check takes a trainer or a row at a time, not 'cot:head,mle'"),
        (f"{TINY} --algos mle --shard 2/2", "--shard 2/2: expected i/n"),
        (f"{TINY} --algos mle --retry done", "Invalid value for '--retry'"),
        (f"{TINY} --algos mle --plugin absent.py", "plugin absent.py does not exist"),
        (f"{TINY} --algos mle --config absent.toml", "cannot read absent.toml"),
        (f"{TINY} --algos mle --results file", "cannot write results to file: Not a directory"),
        (f"{TINY} --algos mle extra", "Got unexpected extra argument (extra)"),
        (f"{TINY} --algos mle --set synthetic-tiny.oracle=file", "file"),
        (TINY, "no algorithm given"),
        ("run --algos mle", "no task given"),
        ("show preset:fast", "unknown preset 'fast'"),
        ("show trainer:mlee", "unknown trainer 'mlee'; did you mean 'mle'"),
        ("show trainer:cot:hed", "unknown variant of cot 'hed'; did you mean 'head'"),
        ("show nothing", "no run in results is called 'nothing'"),
        ("show cot:head", "no run in results is called 'cot:head'; did you mean trainer:cot?"),
        ("show mle", "did you mean trainer:mle?"),
        ("sample mle", "no run in results is called 'mle' (it holds no run)"),
        ("verify mle", "no run in results is called 'mle' (it holds no run)"),
        ("status --verify", "no runs in results: there is nothing to verify"),
        ("show", "Missing argument"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    call: Call, tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "file").write_text("neither a store nor an oracle")
    result = call(line)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(r"textbench: error: [^\n]+\n", result.stderr), result.stderr
    quoted = re.sub(r"No such option: (--\w+)", r"No such option '\1'", result.stderr)  # click 8.2
    assert message in quoted
    assert not list(tmp_path.glob("results/*"))


def test_a_mistake_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "textbench", "run", "--algos", "x", "--task", "y"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("textbench: error: unknown trainer 'x'")


# -- help, list, show ------------------------------------------------------------------------


def test_every_command_has_help_with_an_example(call: Call) -> None:
    assert __version__ in call("--version").stdout
    for command in COMMANDS:
        text = call(f"{command} --help").stdout
        assert f"  textbench {command}" in text
        options = text.partition("Options:")[2].partition("Examples:")[0]
        for option in re.findall(r"^  (--\S+).*$", options, flags=re.M):
            assert re.search(rf"{option}\b.*\n?.*[a-z]{{3,}} [a-z]", options), option


def test_list_shows_everything_there_is(call: Call) -> None:
    lines = [line.split(maxsplit=1) for line in call("list").stdout.splitlines() if line]
    listed = {line[0] for line in lines if len(line) == 2}
    for kind in registry.KINDS:
        assert set(registry.names(kind)) <= listed
    assert {"cot:head", "cot:readme", *presets.names()} <= listed


def test_show_preset_prints_the_file(call: Call) -> None:
    assert call("show preset:quick").stdout == presets.path("quick").read_text()


def test_show_trainer_comes_from_the_schema(call: Call) -> None:
    text = call("show trainer:mle").stdout
    assert "mle.epochs = 120  (int >= 1)" in text
    assert "Adam's learning rate (SeqGAN code: 0.01; its 2016 version: 1e-3)." in text
    assert "mle:dropout" in text
    schema = registry.load_trainer("cot").config_schema
    text = call("show trainer:cot").stdout
    for name in schema.model_fields:
        assert f"  cot.{name} = " in text
    text = call("show trainer:cot:head").stdout
    assert "cot.g_lr = 0.001  (float > 0, default 0.01)" in text
    assert "cot.m_init = 'cudnn'  (normal | cudnn, default 'normal')" in text


def test_show_other_things(call: Call) -> None:
    assert "synthetic.oracle_seed = " in call("show task:synthetic").stdout
    assert "nats/token; lower is better" in call("show metric:nll_test").stdout
    assert call("show metric:nll").stdout == call("show metric:nll_test").stdout
    assert "evaluation.final_samples = 9984" in call("show evaluation").stdout
    assert "backbone.hidden = 32" in call("show backbone").stdout


# -- status and show RUN ---------------------------------------------------------------------


def test_status_of_an_empty_store_is_friendly(call: Call) -> None:
    result = call("status")
    assert result.exit_code == 0
    assert "No runs in results yet; `textbench run --algos mle" in result.stdout


def test_status_shows_every_run_and_what_is_stale(
    call: Call, store: Callable[..., RunDirectory]
) -> None:
    store()
    store("cot", status="failed")
    changed = store("seqgan")
    changed.write_json("env.json", {"starts": [{"code": "now"}, {"code": "earlier"}]})
    gone = store("cot", seed=5)
    gone.write_status(Status("running"))
    result = call("status")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if "/s" in line}
    by_trainer = {(name.split("/")[1], name.split("/")[2][:2]): row for name, row in rows.items()}
    assert " done  " in by_trainer["mle", "s0"] and "stale" not in by_trainer["mle", "s0"]
    assert "failed" in by_trainer["cot", "s0"] and "ValueError: no" in by_trainer["cot", "s0"]
    assert "done (stale)" in by_trainer["seqgan", "s0"]
    assert "its process is gone" in by_trainer["cot", "s5"]
    assert result.stdout.endswith("\n4 runs: 2 done, 1 interrupted, 1 failed, 1 stale\n")


def test_show_finds_a_run_by_any_unambiguous_part(
    call: Call, store: Callable[..., RunDirectory]
) -> None:
    run, other = store(), store(seed=1)
    for part in (run.name, "mle/s0", run.spec().hash[:12], str(run.path)):
        result = call(f"show {part}")
        assert result.exit_code == 0
        assert result.stdout.startswith(f"{run.name}  done")
        assert run.spec().hash in result.stdout
    ambiguous = call("show mle")
    assert ambiguous.exit_code == 2
    assert f"'mle' fits 2 runs: {run.name}, {other.name}" in ambiguous.stderr


def test_show_run_tells_what_the_store_knows(
    call: Call, store: Callable[..., RunDirectory]
) -> None:
    run = store()
    run.append(
        "metrics.jsonl",
        {
            "step": 9,
            "phase": "mle",
            "epoch": 3,
            "final": True,
            "ledger": {"generator_updates": 1234},
            "seconds": 1.5,
            "cpu_seconds": 1.25,
            "metrics": measured({"nll_test": 2.5, "nll_oracle": None}, "/1 n=7", "no oracle"),
        },
    )
    text = call("show mle/s0").stdout
    for expected in (
        "mle.epochs = 4",
        "hidden = 8",
        "preset ci",
        "Last evaluation (step 9, phase mle, epoch 3, final)",
        "nll_test = 2.5000  [nll_test/1 n=7]",
        "nll_oracle = does not apply: no oracle",
        "generator_updates = 1234",
        "Provenance (start 1 of 1)",
    ):
        assert expected in text


def test_show_run_says_what_an_adversarial_phase_did_and_changed(call: Call) -> None:
    """Updates, the discriminator's accuracy, and both NLLs since the warm-up."""
    quick = Path(__file__).parents[2] / "results" / "published" / "quick"
    text = call(f"show seqgan/s0 --results {quick}").stdout
    for expected in (
        "d_accuracy = 0.9728  (step 3678)",
        "Since the warm-up synthetic/mle/s0-df2f9248\n  generator_updates = 30\n",
        "  critic_updates = 3648\n",
        "  nll_oracle = -0.2483  (8.9967 to 8.7484)\n",
        "  nll_test = +0.1430  (8.1573 to 8.3003)\n",
    ):
        assert expected in text, text
    assert "Since the warm-up" not in call(f"show mle/s0 --results {quick}").stdout


# -- run -------------------------------------------------------------------------------------


def test_dry_run_says_what_would_happen_and_writes_nothing(call: Call, tmp_path: Path) -> None:
    result = call(f"{TINY} --algos seqgan,mle --seeds 0:2 --dry-run")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [re.sub(r"-[0-9a-f]{8}", "", line) for line in lines] == [
        "run     results/synthetic-tiny/mle/s0  (mle seed 0)",
        "run     results/synthetic-tiny/seqgan/s0  (seqgan seed 0)",
        "run     results/synthetic-tiny/mle/s1  (mle seed 1)",
        "run     results/synthetic-tiny/seqgan/s1  (seqgan seed 1)",
        "4 runs; nothing was started (--dry-run)",
    ]
    assert not (tmp_path / "results").exists()


def test_shards_are_disjoint_and_complete(call: Call) -> None:
    line = f"{TINY} --algos mle,cot,cot:head --seeds 0:3 --dry-run"
    whole = call(line).stdout.splitlines()[:-1]
    shards = [call(f"{line} --shard {i}/4").stdout.splitlines()[:-1] for i in range(4)]
    assert sorted(line for shard in shards for line in shard) == sorted(whole)
    assert [len(shard) for shard in shards] == [3, 2, 2, 2]


def test_retry_failed_takes_only_those(call: Call) -> None:
    line = f"{TINY} --algos mle,cot --dry-run"
    path = Path(call(line).stdout.splitlines()[0].split()[1])
    path.mkdir(parents=True)
    RunDirectory(path).write_status(Status("failed", step=2))
    lines = call(f"{line} --retry failed").stdout.splitlines()
    assert lines[0].startswith(f"resume  {path}")
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["done", "done"], 0),
        ([], 0),
        (["done", "failed", "timeout"], 1),
        (["diverged"], 1),
        (["done", "timeout"], 75),
        (["interrupted"], 75),
        (["queued", "done"], 75),
    ],
)
def test_exit_codes(names: list[StatusName], code: int) -> None:
    assert exit_code([Status(name) for name in names]) == code


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_devices("auto") == choose_devices("cpu") == ["cpu"]
    for device in ("cuda", "cuda:0", "cpu:1", "gpu"):
        with pytest.raises(UserError, match=r"this machine has 0 CUDA devices"):
            choose_devices(device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_devices("auto") == choose_devices("cuda") == ["cuda:0", "cuda:1"]
    assert choose_devices("cuda:1") == ["cuda:1"]
    assert choose_devices("cpu") == ["cpu"]
    with pytest.raises(UserError, match="expected auto, cpu, cuda"):
        choose_devices("cuda:2")


@pytest.mark.parametrize(
    ("words", "jobs"), [((), 2), (("--per-gpu", "3"), 6), (("--jobs", "5"), 5)]
)
def test_as_many_runs_go_at_once_as_gpus_hold(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], jobs: int
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    given = run_command.make_context("run", ["--algos", "mle", *words]).params
    engine = prepare(given)
    assert isinstance(engine, partial)
    assert engine.keywords["devices"] == ["cuda:0", "cuda:1"]
    assert engine.keywords["jobs"] == jobs


def test_a_plugin_is_run_by_the_command_and_not_where_a_shell_completes_it(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    plugin = tmp_path / "mine.py"
    plugin.write_text(f"open({str(ran)!r}, 'w').close()\nraise ValueError('on purpose')\n")
    words = ("--algos", "mle", "--plugin", str(plugin))
    run_command.make_context("run", [*words], resilient_parsing=True)
    assert not ran.exists()
    with pytest.raises(UserError, match=r"is broken: .*mine\.py:2: ValueError: on purpose"):
        run_command.make_context("run", [*words])
    assert ran.exists()


def test_a_run_from_nothing_to_status_and_again(call: Call, tmp_path: Path) -> None:
    """The main job with the real worker, on the tiny task."""
    line = f"{TINY} --algos mle --set mle.epochs=1 --jobs 1"
    first = call(line)
    assert first.exit_code == 0, first.output
    assert re.search(r"^\[1/1\] mle seed 0: done in [\dms]+; nll_oracle \d", first.stdout, re.M)
    assert re.search(r"^synthetic-tiny +mle +0 +done +8/8 ", first.stdout, re.M)
    assert first.stdout.endswith("Next:\n  textbench report\n")
    (run,) = RunDirectory.find(tmp_path / "results")
    before = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    again = call(line)
    assert again.exit_code == 0
    assert "[1/1] mle seed 0: done (already)" in again.stdout
    assert {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()} == before
    status = call("status").stdout
    assert "1 run: 1 done" in status and "stale" not in status
    shown = call("show mle").stdout
    assert "final)" in shown and "mle.epochs = 1" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_stop_keeps_the_work_and_says_how_to_resume(
    tmp_path: Path, number: signal.Signals
) -> None:
    line = [sys.executable, "-m", "textbench", *shlex.split(TINY), "--algos", "mle"]
    line += ["--set", "mle.epochs=100000"]
    heard = signal.signal(number, lambda *_: None)  # what is ignored here, as by nohup, is there
    try:
        process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
    finally:
        signal.signal(number, heard)
    try:
        while not _training(tmp_path / "results"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        os.kill(process.pid, number)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, stderr) == (128 + number, "")
    assert stdout.count("Stopping at the next checkpoints") == 1
    assert "mle seed 0: interrupted" in stdout
    assert "1 of 1 runs are unfinished. To resume:" in stdout
    (run,) = RunDirectory.find(tmp_path / "results")
    assert run.status().status == "interrupted" and run.status().step > 0
    assert (run.path / "checkpoint.pt").exists()


def test_a_closed_pipe_stops_runs_at_checkpoints_and_is_said(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "textbench", *shlex.split(TINY), "--algos", "mle"]
    line += ["--seeds", "0:2", "--jobs", "1", "--set", "mle.epochs=100000"]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        try:
            assert process.stdout and process.stderr
            while not _training(tmp_path / "results"):
                assert process.poll() is None
                time.sleep(0.1)
            process.stdout.close()  # what is printed next is printed to nobody
            stderr = process.stderr.read()
            assert process.wait(120) == 141
        finally:
            process.kill()
    assert stderr == (
        "textbench: nobody reads the output any more; the runs stop at checkpoints. To resume: "
        f"{shlex.join(['textbench', *line[3:]])}\n"
    )
    first, _ = RunDirectory.find(tmp_path / "results")
    assert first.status().status == "interrupted" and (first.path / "checkpoint.pt").exists()


def _training(results: Path) -> bool:
    return any(run.status().step > 0 for run in RunDirectory.find(results))
