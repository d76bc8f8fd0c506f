"""The process that was forked ahead: it does its work once, tells how that ended, and never outlives anybody."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_BEGINNING = """
import os, signal, sys, time
from concurrent.futures import Future
from functools import partial
from orchestration import helper
from orchestration.forked import threads
from warehouse.errors import Fault, Refused

def tell(text):
    print(text, flush=True)
"""


def run(script: str, code: int = 0) -> list[str]:
    """What a process with a single thread prints that does this."""
    done = subprocess.run(
        [sys.executable, "-c", _BEGINNING + textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout.split()


def test_work_is_done_elsewhere_and_what_it_returned_comes_back() -> None:
    told = run("""
        def work(factor, gate):
            return os.getpid(), 7 * factor

        helper.keep_ready()
        taken = helper.take()
        assert helper.take() is None
        pid, product = taken.do(partial(work, 6))
        tell(product)
        tell(pid != os.getpid())
        tell(os.path.exists(f"/proc/{pid}"))
    """)
    assert told == ["42", "True", "False"]


def test_the_gate_opens_when_what_comes_before_is_done_however_that_ended(tmp_path: Path) -> None:
    told = run(f"""
        place = {str(tmp_path / "seen")!r}

        def work(gate):
            open(place, "w").close()
            gate()
            return os.path.getsize(place)

        helper.keep_ready()
        before = Future()

        def first():
            while not os.path.exists(place):
                time.sleep(0.01)
            with open(place, "w") as file:
                file.write("four")
            before.set_exception(OSError("full"))

        import threading
        taken = helper.take()
        threading.Thread(target=first).start()
        tell(taken.do(work, before))
    """)
    assert told == ["4"]


def test_what_work_raised_is_raised_here_with_its_words() -> None:
    told = run("""
        def refuses(gate):
            raise Refused("不行。", "换一件。")

        def breaks(gate):
            return {}["nothing"]

        def later():
            time.sleep(0.5)
            return threads()

        from concurrent.futures import ThreadPoolExecutor
        for work in (refuses, breaks):
            helper.keep_ready()
            taken = helper.take()
            try:
                with ThreadPoolExecutor(1) as pool:
                    taken.do(work, pool.submit(later))
            except (Refused, KeyError) as error:
                tell(type(error).__name__ + ":" + str(error).replace(" ", ""))
    """)
    assert told == ["Refused:不行。换一件。", "KeyError:'nothing'"]


def test_a_process_that_dies_at_its_work_is_a_fault() -> None:
    told = run("""
        def dies(gate):
            os.kill(os.getpid(), signal.SIGKILL)

        helper.keep_ready()
        try:
            helper.take().do(dies)
        except Fault as fault:
            tell(fault.message_zh)
    """)
    assert told == ["一项后台工作的进程意外结束。"]


@pytest.mark.parametrize("end", ["helper.dismiss_ready()", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_one_that_nobody_took_ends_when_it_is_dismissed_and_with_its_parent(end: str) -> None:
    killed = "SIGKILL" in end
    told = run(
        f"""
        helper.keep_ready()
        (ready,) = helper._ready
        tell(ready._process.pid)
        {end}
        """,
        code=-9 if killed else 0,
    )
    status = Path("/proc") / told[0] / "stat"
    for _ in range(100):
        if not status.exists():
            return
        subprocess.run(["sleep", "0.05"], check=True)
    pytest.fail(f"process {told[0]} is still there: {status.read_text()}")


def test_a_thread_that_was_joined_is_waited_for_until_the_kernel_let_it_go() -> None:
    # Asked at once, the kernel still counts more than every second one.
    told = run("""
        import threading
        from orchestration.forked import check_alone
        for _ in range(300):
            ended = threading.Thread(target=bool)
            ended.start()
            ended.join()
            check_alone()
        tell(threads())
    """)
    assert told == ["1"]


def test_a_process_with_threads_is_not_forked() -> None:
    told = run("""
        import threading
        stop = threading.Event()
        threading.Thread(target=stop.wait).start()
        try:
            helper.keep_ready()
        except Fault as fault:
            tell(fault.message_zh)
        stop.set()
    """)
    assert told == ["进程有", "2", "个线程，不能分叉。"]
