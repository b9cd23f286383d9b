"""Run Python code as if on Windows or macOS: what only POSIX or Linux has is taken away.

    python other_system.py windows|macos SCRIPT

Packages are imported first: they were built for this system. SCRIPT is run after that. As on
Windows, a file that is open or mapped into memory can be neither deleted, renamed nor replaced, and
folders cannot be opened, replaced or named at will.
"""

import builtins
import importlib
import os
import pathlib
import platform
import runpy
import shutil
import signal
import sys
import sysconfig
import tempfile
import types

import threadpoolctl

PACKAGES = """
keras_tuner tensorflow keras optuna sqlalchemy.dialects.sqlite alembic.config pandas scipy.optimize
sklearn.linear_model sklearn.model_selection sklearn.isotonic matplotlib.figure
matplotlib.backends.backend_svg matplotlib.backends.backend_agg rich.progress rich.table typer
typer.testing jinja2 cloudpickle yaml PIL.Image multiprocessing.connection concurrent.futures.thread
tensorboard.plugins.hparams.api tensorflow.lite.python.lite pytest
"""
POSIX_MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "readline", "syslog")
POSIX_OS = """
fork forkpty register_at_fork setsid getsid getpgid getpgrp killpg getuid geteuid getgid getegid
getgroups getlogin uname getloadavg nice getpriority setpriority sysconf sysconf_names confstr
sched_yield sched_getaffinity sched_setaffinity mkfifo mknod chown lchown fchown fchmod statvfs
fstatvfs pread pwrite preadv pwritev posix_fallocate posix_fadvise sendfile sync fdatasync chroot
ctermid openpty ttyname wait wait3 wait4 waitid WNOHANG O_NOFOLLOW O_DIRECTORY O_CLOEXEC O_SYNC
O_DSYNC O_NONBLOCK memfd_create pipe2 copy_file_range splice eventfd
"""
LINUX_OS = "sched_getaffinity sched_setaffinity memfd_create posix_fadvise copy_file_range"
POSIX_SIGNALS = """
SIGKILL SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGALRM SIGCHLD SIGPIPE SIGBUS SIGSTOP SIGTSTP SIGCONT alarm
setitimer getitimer pause pthread_kill pthread_sigmask sigwait sigpending siginterrupt SIG_BLOCK
"""
FORBIDDEN = set('<>:"|?*')


def remove(module: types.ModuleType, names: str) -> None:
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)


def become_macos() -> None:
    remove(os, LINUX_OS)
    sys.platform = "darwin"


def become_windows() -> None:
    for name in POSIX_MODULES:
        sys.modules[name] = None
    remove(os, POSIX_OS)
    remove(signal, POSIX_SIGNALS)
    sys.modules["msvcrt"] = locking_module()
    shutil._use_fd_functions = False
    # Elsewhere its file is deleted while it is open.
    tempfile.TemporaryFile = tempfile.NamedTemporaryFile
    restrict_files()
    # It would ask Windows for the libraries of this process.
    controller = threadpoolctl.ThreadpoolController
    found = controller._find_libraries_with_dl_iterate_phdr
    controller._find_libraries_with_enum_process_module_ex = found
    sys.platform = "win32"


def locking_module() -> types.ModuleType:
    """Return a `msvcrt` whose locks exclude other descriptors of this process."""
    module = types.ModuleType("msvcrt")
    module.LK_NBLCK, module.LK_UNLCK = 2, 0
    owners = {}

    def locking(descriptor: int, mode: int, length: int) -> None:
        found = os.fstat(descriptor)
        key = (found.st_dev, found.st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
        if mode == module.LK_UNLCK:
            del owners[key]
        elif owners.setdefault(key, descriptor) != descriptor:
            raise PermissionError(13, "Permission denied")

    module.locking = locking
    return module


def in_use(path: str) -> bool:
    """Return whether this process has a file, or one in a folder, open or mapped into memory."""
    real = os.path.realpath(path)
    open_files = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    used = {os.readlink(link) for link in open_files if os.path.islink(link)}
    maps = pathlib.Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    used |= {fields[5] for line in maps if len(fields := line.split(None, 5)) == 6}
    return any(each == real or each.startswith(real + "/") for each in used)


def refuse(path: str, number: int = 32) -> None:
    raise PermissionError(13, f"WinError {number}", path)


def restrict_files() -> None:
    """Have files obey the rules of Windows as far as this package could break them."""

    def guarded(function, *, moves: bool):
        def call(path, *args, **kwargs):
            name = os.fspath(path)
            if in_use(name):
                refuse(name)
            if moves:
                target = os.fspath(args[0])
                check_name(target)
                if in_use(target) or os.path.isdir(target):
                    refuse(target, 5)
                if function is rename and os.path.exists(target):
                    raise FileExistsError(17, "WinError 183", target)
            return function(path, *args, **kwargs)

        return call

    def check_name(path) -> None:
        if isinstance(path, (str, os.PathLike)) and FORBIDDEN & set(os.fspath(path)):
            raise OSError(22, "WinError 123", os.fspath(path))

    rename = os.rename
    os.replace, os.rename = guarded(os.replace, moves=True), guarded(os.rename, moves=True)
    for name in ("unlink", "remove", "rmdir"):
        setattr(os, name, guarded(getattr(os, name), moves=False))
    real_open, real_mkdir, real_os_open = builtins.open, os.mkdir, os.open

    def opened(file, mode="r", *args, **kwargs):
        if set(mode) & set("wax+"):
            check_name(file)
        return real_open(file, mode, *args, **kwargs)

    def made(path, *args, **kwargs):
        check_name(path)
        return real_mkdir(path, *args, **kwargs)

    def os_opened(path, *args, **kwargs):
        if os.path.isdir(path):
            refuse(path, 5)
        return real_os_open(path, *args, **kwargs)

    builtins.open, os.mkdir, os.open = opened, made, os_opened


if __name__ == "__main__":
    system, script = sys.argv[1:]
    for package in PACKAGES.split():
        importlib.import_module(package)
    platform.uname()
    sysconfig.get_config_vars()
    {"windows": become_windows, "macos": become_macos}[system]()
    runpy.run_path(script, run_name="__main__")
