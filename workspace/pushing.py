"""After a run, where `versioning.push` says so: data to DVC's remote, and only when all of it is there, the commits."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.core.errors import GenloopError
from pipelines.settings.schema import Params
from workspace import dvc, dvc_cache, git, snapshot


def waiting(params: Params) -> bool:
    return params.versioning.push and git.ahead()


def push(params: Params, log: Callable[[str], None]) -> None:
    """`dvc push`, then `git push`, where there are commits that have not been pushed.

    Raises:
        GenloopError: there is nowhere to push to, or it failed. What is here stays, and the next run pushes it.
    """
    if not waiting(params):
        return
    later = "all is kept here, and the next run pushes it"
    if not dvc_cache.remotes():
        raise GenloopError(
            "versioning.push is true, but DVC has no remote: `dvc remote add --default NAME URL` gives it one; " + later
        )
    if (words := snapshot.run("push", "--quiet")) is not None:
        raise GenloopError(f"dvc push: {words}; {later}")
    unsent, wanted = sent()
    if unsent:
        raise GenloopError(
            f"dvc push: {len(unsent):,} of {wanted:,} files are not in the remote, although DVC says that it has pushed them; "
            f"the first is of {unsent[0]}; most often DVC's cache here has lost it: `dvc status --cloud` tells more; {later}"
        )
    done = git.git("push", "--quiet")
    if done.returncode:
        raise GenloopError(f"git push: {git.first_line(done)}; {later}")
    log("pushed: the data to DVC's remote, then the commits")


def sent() -> tuple[list[str], int]:
    """For each object that the remote has not, the output that it is of; and how many there are in all.

    `dvc push` ends well with files unsent.
    """
    with dvc.repository() as repo:
        outs = [out for out in repo.index.outs if out.use_cache and out.hash_info and out.can_push]
        wanted = {digest: str(out) for out in outs for digest in dvc_cache.digests(out)}
        there = set(repo.cloud.get_remote_odb(command="push").oids_exist(list(wanted)))
    return [out for digest, out in wanted.items() if digest not in there], len(wanted)
