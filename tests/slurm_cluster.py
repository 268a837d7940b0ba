"""A SLURM of one node with four pretended GPUs, on this machine, for as long as a test needs it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

CONFIG = Path("/etc/slurm")
"""Where SLURM looks: a job step does not heed SLURM_CONF."""

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sinfo", "squeue", "sbatch", "srun", "scancel", "scontrol")


def obstacle() -> str:
    """Why no SLURM can be started here; empty if it can."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if os.geteuid() != 0:
        return "only root can start a SLURM"
    if missing:
        return f"{', '.join(missing)} not found: apt-get install slurm-wlm munge"
    if (CONFIG / "slurm.conf").exists() and "ikem-test" not in (CONFIG / "slurm.conf").read_text():
        return f"{CONFIG / 'slurm.conf'} is another cluster's"
    return ""


class Cluster:
    """Started with `with`; everything it made is gone afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        try:
            self._write()
            key, sockets = self.folder / "munge.key", self.folder / "munge"
            key.write_bytes(os.urandom(128))
            key.chmod(0o400)
            sockets.mkdir(mode=0o755)
            self._start(
                *("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={sockets}/socket"),
                *(
                    f"--pid-file={sockets}/pid",
                    f"--log-file={sockets}/log",
                    f"--seed-file={sockets}/seed",
                ),
            )
            self._until(lambda: (sockets / "socket").exists(), "munged")
            self._start("slurmctld", "-D", "-c")
            self._start("slurmd", "-D")
            self._until(lambda: "idle" in self.call("sinfo", "--noheader", "--format=%t"), "SLURM")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if len(self._daemons) > 1:
            subprocess.run(["scancel", "--user=root", "--full"], capture_output=True, timeout=30, check=False)
            time.sleep(1)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for name in ("slurm.conf", "gres.conf"):
            (CONFIG / name).unlink(missing_ok=True)

    def call(self, *command: str) -> str:
        """What a command says."""
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout

    def job_of(self, words: str) -> str | None:
        """Number of the running job whose comment has these words."""
        for line in self.call("squeue", "--noheader", "--states=RUNNING", "--format=%i %k").splitlines():
            number, _, comment = line.partition(" ")
            if words in comment:
                return number
        return None

    def log(self) -> str:
        """The ends of the daemons' logs."""
        return "\n".join(f"{path}:\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.out")))

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("wb") as out:
            self._daemons.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
                )
            )

    def _until(self, condition, what: str) -> None:
        end = time.monotonic() + 60
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"{what} does not start:\n{self.log()}")
            time.sleep(0.2)

    def _write(self) -> None:
        node, folder = socket.gethostname().split(".")[0], self.folder
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        for number in range(4):
            # Device files like /dev/null's: SLURM numbers its GPUs by such files, and by no others.
            os.mknod(folder / f"gpu{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        for name in ("state", "spool"):
            (folder / name).mkdir()
        CONFIG.mkdir(exist_ok=True)
        (CONFIG / "gres.conf").write_text(f"NodeName={node} Name=gpu File={folder}/gpu[0-3]\n")
        (CONFIG / "slurm.conf").write_text(
            f"""# ikem-test: of a test, and gone when it ends
ClusterName=local
SlurmctldHost={node}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MinJobAge=300
KillWait=15
JobRequeue=1
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
NodeName={node} NodeAddr=127.0.0.1 CPUs=4 CoresPerSocket=4 RealMemory={memory} Gres=gpu:4 State=UNKNOWN
PartitionName=gpu Nodes={node} Default=YES MaxTime=INFINITE State=UP
""",
            encoding="utf-8",
        )


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
