"""A process that has imported everything, and forks a job process whenever it is told to: kills cost no start-up.

It reads lines of JSON and answers each with one: {"run": config} runs a whole config here, which loads all compiled
code; {"arguments", "folder", "environment", "log"} starts `python -m ikem ARGUMENTS` and gives {"pid"}; {"wait": pid}
waits for its end and gives {"status"}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what jobs print must not look like an answer
    import ikem.cli
    import ikem.evaluations.finetune.run
    import ikem.methods.ikem.trainer
    import ikem.methods.relational_distillation.trainer
    import ikem.report.gather
    import ikem.runner
    import ikem.settings.loading
    import ikem.workflow.execute

    for line in sys.stdin:
        asked = json.loads(line)
        if "run" in asked:
            ikem.runner.run_all(ikem.settings.loading.load_config(asked["run"]))
            answer = {}
        elif "wait" in asked:
            _, status = os.waitpid(asked["wait"], 0)
            answer = {"status": os.waitstatus_to_exitcode(status)}
        else:
            answer = {"pid": os.fork()}
            if not answer["pid"]:
                _become(asked)
        print(json.dumps(answer), file=answers, flush=True)


def _become(asked: dict) -> None:
    """Be the job process; never return."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup make test` has it ignored
        with open(asked["log"], "ab") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.argv = ["ikem", *asked["arguments"]]
        from ikem.cli import main as command

        command()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
