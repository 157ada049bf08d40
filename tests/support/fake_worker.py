"""A worker that does what its spec's config says; nothing of it needs torch."""

from __future__ import annotations

from textbench.contracts.spec import Spec

FAKE = """
import json, os, signal, sys, time
from pathlib import Path
from textbench.store.directory import RunDirectory
from textbench.store.rows import Status

path = Path(sys.argv[1])
run = RunDirectory(path)
assert run.acquire()
spec = run.spec()
behave = spec.config.get("behave", "done")
events = path.parents[2] / "events.txt"

def event(what):
    with open(events, "a") as handle:
        handle.write(f"{what} {spec.label}\\n")

def end(name, code, reason=""):
    event("end")
    run.write_status(Status(name, reason=reason, step=7, total=9, metrics={"m": 1.5}))
    sys.exit(code)

event("start")
print("hello from", spec.label)
run.write_status(Status("running", step=3, total=9))
(path / "call.json").write_text(json.dumps({"argv": sys.argv, "env": dict(os.environ)}))
if behave == "once" and not (path / "tried").exists():
    (path / "tried").touch()
    os.kill(os.getpid(), signal.SIGKILL)
if behave == "crash":
    raise ValueError("out of\\nluck")
if behave == "meet":  # succeed only if two run at the same time
    began = time.time()
    while events.read_text().count("start") < 2:
        if time.time() - began > 20:
            end("failed", 1, "never met")
        time.sleep(0.02)
if behave in ("wait", "stubborn"):
    if behave == "wait":
        signal.signal(signal.SIGTERM, lambda *_: end("interrupted", 75, "told to stop"))
    else:
        signal.signal(signal.SIGTERM, lambda *_: event("ignored"))
    event("ready")
    while True:
        time.sleep(0.02)
codes = {"failed": 1, "diverged": 1, "timeout": 75, "lies": 0}
end("running" if behave == "lies" else behave if behave in codes else "done",
    codes.get(behave, 0), "as told" if behave in codes else "")
"""


def make_spec(trainer: str, behave: str = "done", warmup: Spec | None = None) -> Spec:
    return Spec(
        trainer=trainer,
        version=1,
        config={"behave": behave},
        task="t",
        task_config={},
        task_fingerprint="",
        backbone={},
        evaluation={},
        seed=0,
        warmup=warmup,
    )
