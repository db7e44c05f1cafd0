"""Environment variables that this machine gets wrong: a home, a user, a folder for temporary files, and proxies.

A container runs its program as a user id without a name, often without a home or with one that cannot be written; a company's
machine has a proxy that knows nothing of this machine's own servers. Libraries end in tracebacks there.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import pwd
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pipelines.core.errors import InputError

USER_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # in the order in which Python's getpass looks at them
# What libraries write below the home, and the variable that moves it elsewhere.
FOLDERS = {
    "PREFECT_HOME": ".prefect",
    "MPLCONFIGDIR": ".config/matplotlib",
    "KERAS_HOME": ".keras",
    "XDG_CACHE_HOME": ".cache",
}
# Those of them that are of use where they can only be read, because an image for containers brought this folder with it.
READ = {"KERAS_HOME": "datasets", "XDG_CACHE_HOME": "genloop"}
PRIVATE = "genloop-home-"  # the beginning of the name of the folder that takes their place
DVC_SITE_CACHE = Path("/var/tmp/dvc/repo")  # DVC's own default, below a folder that containers often lack

PROXIES = ("http_proxy", "https_proxy", "all_proxy")  # in capitals too
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h", "socks4", "socks4a", "socks")  # the last as desktops write it
SOCKS_OF_HTTPX = ("socks5", "socks5h")  # those that httpx, and so Prefect, can use, with the package socksio
LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")
# Servers that a program asks by HTTP; where they are on this machine, under whichever name, no proxy is asked for them.
SERVERS = (
    "PREFECT_API_URL", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
)  # fmt: skip


@dataclass(frozen=True)
class Substitutes:
    """variables: to set, because what the environment says cannot be used. messages: about them, a line each."""

    variables: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[str, ...] = ()


def substitutes(variables: Mapping[str, str]) -> Substitutes:
    """What to set so that every library works. Raises InputError where no folder at all can be written."""
    parts = (temporary_folder(variables), home_folders(variables), dvc_cache(variables))
    found = bypass_proxies(variables) | user_name(variables)
    for part in parts:
        found |= part.variables
    return Substitutes(found, tuple(message for part in parts for message in part.messages))


def user_name(variables: Mapping[str, str]) -> dict[str, str]:
    """A name for a user id that has none; MLflow and DVC ask for one."""
    if any(variables.get(name) for name in USER_NAMES) or account() is not None:
        return {}
    return {"USER": f"user-{os.getuid()}"}


def account() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        return None


def temporary_folder(variables: Mapping[str, str]) -> Substitutes:
    given = variables.get("TMPDIR")
    if not given or is_writable(Path(given)):
        return Substitutes()
    place = temporary_place()
    return Substitutes({"TMPDIR": str(place)}, (f"TMPDIR={given} cannot be written; temporary files go to {place}",))


def temporary_place() -> Path:
    """A folder for temporary files, by Python's rules. Raises InputError where none can be written."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise InputError("no folder for temporary files can be written; set TMPDIR to one that can") from None


def home_folders(variables: Mapping[str, str]) -> Substitutes:
    """HOME where there is none. Where it is there to be read only, it stays, and what libraries write goes elsewhere."""
    given = variables.get("HOME")
    home = next((place for place in (given, user_home()) if place and is_home(Path(place))), None)
    if home is None:
        private = private_folder()
        why = f"HOME={given} is no folder that can be read" if given else "HOME is not set"
        return Substitutes({"HOME": str(private)}, (f"no home folder ({why}): {private} is used; set HOME to choose another",))
    found = {} if home == given else {"HOME": home}
    if is_writable(Path(home)):
        return Substitutes(found)
    places = {name: Path(home, folder) for name, folder in FOLDERS.items() if not variables.get(name)}
    found |= {name: str(place) for name, place in places.items()}
    moved = [name for name, place in places.items() if not is_usable(name, place)]
    if not moved:
        return Substitutes(found)
    private = private_folder()
    return Substitutes(
        found | {name: str(private / FOLDERS[name]) for name in moved},
        (f"the home folder {home} cannot be written: what belongs there goes to {private}; set HOME to choose another",),
    )


def user_home() -> str | None:
    known = account()
    return known.pw_dir if known else None


def is_home(folder: Path) -> bool:
    return folder.is_absolute() and os.access(folder, os.R_OK | os.X_OK) and os.path.isdir(folder)


def is_usable(name: str, folder: Path) -> bool:
    """Whether what the variable names can stay in `folder`, below a home that cannot be written."""
    return is_writable(folder) or (name in READ and os.path.isdir(folder / READ[name]))


def is_writable(folder: Path) -> bool:
    """Whether a file can be made there, found out by making one: modes say nothing of read-only file systems."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def private_folder() -> Path:
    """The same folder for every program of this user, which nobody else can have made."""
    folder = temporary_place() / f"{PRIVATE}{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
        if about.st_uid == os.getuid() and not folder.is_symlink() and about.st_mode & 0o022 == 0:
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix=PRIVATE))


def substituted(variables: Mapping[str, str]) -> list[str]:
    """The variables that a program has moved to such a folder, because the home is missing or cannot be written."""
    return [name for name in ("HOME", *FOLDERS) if f"/{PRIVATE}" in variables.get(name, "")]


def dvc_cache(variables: Mapping[str, str]) -> Substitutes:
    """Where DVC keeps its indexes; it is said by no message, because all there is made anew at no cost."""
    nearest = next(place for place in (DVC_SITE_CACHE, *DVC_SITE_CACHE.parents) if os.path.exists(place))
    if variables.get("DVC_SITE_CACHE_DIR") or is_writable(nearest):
        return Substitutes()
    return Substitutes({"DVC_SITE_CACHE_DIR": str(private_folder() / "dvc")})


def bypass_proxies(variables: Mapping[str, str]) -> dict[str, str]:
    """no_proxy, in both spellings, with this machine added to what the user has said; nothing where there is no proxy."""
    if not proxies(variables):
        return {}
    hosts = (split(variables.get(name, "")).hostname for name in SERVERS)
    local = [*LOCAL_HOSTS, *(host for host in hosts if host and is_this_machine(host))]
    lower, upper = variables.get("no_proxy"), variables.get("NO_PROXY")
    return {"no_proxy": extend(lower or upper or "", local), "NO_PROXY": extend(upper or lower or "", local)}


def extend(hosts: str, more: list[str]) -> str:
    given = [host.strip() for host in hosts.split(",") if host.strip()]
    return "*" if "*" in given else ",".join(dict.fromkeys([*given, *more]))


def is_this_machine(host: str) -> bool:
    if host in ("localhost", socket.gethostname().lower()) or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return True
    try:
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6) as trial:
            trial.bind((host, 0))  # the system allows it for its own addresses alone
    except OSError:  # also where it knows no IPv6
        return False
    return True


def proxies(variables: Mapping[str, str]) -> dict[str, SplitResult]:
    """The proxies that the environment names, by variable; without a scheme it is http."""
    names = [name for lower in PROXIES for name in (lower, lower.upper()) if variables.get(name)]
    return {name: split(url if "://" in (url := variables[name].strip()) else f"http://{url}") for name in names}


def split(url: str) -> SplitResult:
    """The parts of a URL; none of them where it is none, as `http://[::1`."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def proxy_faults(variables: Mapping[str, str]) -> list[str]:
    """A sentence for each proxy that no library can use. Values are not shown: they may hold a password."""
    faults = []
    for name, url in proxies(variables).items():
        try:
            usable = url.scheme in PROXY_SCHEMES and bool(url.hostname) and url.port != 0
        except ValueError:  # of a port that is no number
            usable = False
        if not usable:
            faults.append(f"{name} is no address of a proxy; expected one like http://HOST:PORT, or no such variable")
    return faults


def socks_proxies(variables: Mapping[str, str]) -> list[str]:
    """Variables that name a SOCKS proxy that httpx, and so Prefect, cannot use: it does not even begin."""
    usable = SOCKS_OF_HTTPX if importlib.util.find_spec("socksio") else ()
    return [name for name, url in proxies(variables).items() if url.scheme.startswith("socks") and url.scheme not in usable]
