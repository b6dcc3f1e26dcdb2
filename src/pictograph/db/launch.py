"""Runs one PostgreSQL program as an account it accepts, and never lets a server outlive the service.

A script of its own, standard library only, started with `python -I -S launch.py`: changing user, raising a capability
and asking for a signal at the parent's death must happen in a process without threads.

    launch.py run   UID GID -- initdb ...      becomes the program
    launch.py guard UID GID -- postgres ...    starts the server and waits; ends it when standard input closes
    launch.py reach UID GID -- PROGRAM FOLDER  says which of the two the account does not reach: `program`, `folder`

PostgreSQL refuses to run as root. As root we become an ordinary account, which then may not enter a private folder such
as /root. Instead of opening that folder to everybody, the account keeps one capability, CAP_DAC_OVERRIDE, as an ambient
one (capabilities(7)): the server reaches its own files, and nobody's permissions change. UID -1 keeps the user as is.

PostgreSQL looks for its own programs with access(2), which leaves ambient capabilities out of account for a process
whose real user is not root, unless SECBIT_NO_SETUID_FIXUP is set. Without CAP_SETPCAP it cannot be set; `reach` then
names the program, and `binaries.py` makes a copy where the account needs no capability.
"""

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_GET_SECUREBITS = 27
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
SHUTDOWN_GRACE_S = 60


class CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class CapabilityData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def become(uid: int, gid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if libc:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        bits = libc.prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)
        libc.prctl(PR_SET_SECUREBITS, max(bits, 0) | SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    try:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    except OSError as error:
        sys.exit(f"this process may not become the account with the number {uid} ({error.strerror})")
    if libc:
        keep_one_capability(libc)


def keep_one_capability(libc: ctypes.CDLL) -> None:
    """Or none, where the programs could not have it either: `reach` must see what they will see."""
    header = CapabilityHeader(CAPABILITY_VERSION_3, 0)
    for mask in (1 << CAP_DAC_OVERRIDE, 0):
        data = (CapabilityData * 2)(CapabilityData(mask, mask, mask), CapabilityData(0, 0, 0))
        libc.capset(ctypes.byref(header), data)
        if libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0) == 0:
            return


def unreached(program: str, folder: str) -> list[str]:
    """As PostgreSQL will look: for its programs with access(2), at its files by opening them."""
    found = [] if os.access(program, os.R_OK | os.X_OK) else ["program"]
    try:
        os.stat(os.path.join(folder, "."))
    except PermissionError:
        found.append("folder")
    return found


def end_with_parent(parent: int, number: int) -> None:
    """Asks the kernel for this signal when the parent dies. SIGINT is PostgreSQL's fast shutdown."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # the parent died before the request was made
        os._exit(1)


def guard(command: list[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        end_with_parent(parent, signal.SIGINT)
        os.execv(command[0], command)
    code = wait_for(child, woken, None)
    if code is None:
        os.kill(child, signal.SIGINT)
        code = wait_for(child, woken, SHUTDOWN_GRACE_S)
    if code is None:
        os.kill(child, signal.SIGQUIT)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code


def wait_for(child: int, woken: int, timeout_s: float | None) -> int | None:
    """The child's exit code; None once the time is over or, where there is no limit, standard input has closed.

    SIGCHLD also comes when the child is stopped or continued: only a look at it tells.
    """
    inputs = [woken] if timeout_s is not None else [woken, sys.stdin.fileno()]
    while True:
        readable, _, _ = select.select(inputs, [], [], timeout_s)
        if woken not in readable:
            return None
        os.read(woken, 4096)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)


def main(arguments: list[str]) -> int:
    mode, uid, gid, _, *command = arguments
    if int(uid) >= 0:
        become(int(uid), int(gid))
    if mode == "reach":
        print(*unreached(*command))  # noqa: T201 - read by binaries.py
        return 0
    if mode == "guard":
        return guard(command)
    end_with_parent(os.getppid(), signal.SIGTERM)
    return os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
