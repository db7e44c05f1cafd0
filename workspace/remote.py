"""DVC's default remote: whether it can be asked, found out in seconds, and whether it has every object."""

from __future__ import annotations

import importlib.util
from typing import Any

from pipelines.core import buckets
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from workspace import dvc, dvc_cache

VARIABLE = "GENLOOP_REMOTE_URL"
# Options of a remote by which DVC asks with other credentials than the environment's.
OWN_CREDENTIALS = ("profile", "credentialpath", "configpath", "access_key_id", "secret_access_key", "session_token")


def check(project: Project) -> str | None:
    """What is known of the default remote, in words; None where only a transfer will tell.

    Raises InputError where it cannot be used, and GenloopError where it does not answer.
    """
    name = dvc_cache.default_remote(project)
    options = dvc_cache.remotes(project).get(name or "", {})
    url = str(options.get("url", ""))
    if not buckets.is_bucket(url):
        return None
    source = VARIABLE if name == dvc.REMOTE else f"DVC's remote {name}"
    if importlib.util.find_spec("dvc_s3") is None:
        raise InputError(f"{source} names S3, but the package dvc-s3 is missing: {buckets.EXTRA}")
    if any(option in options for option in OWN_CREDENTIALS):
        return None
    buckets.check(url, source, options.get("endpointurl"))
    return "it answers"


def missing_objects(project: Project) -> tuple[list[str], int]:
    """The output of each object that the remote lacks, and the number of all objects.

    `dvc push` succeeds even where it has left files out.
    """
    with dvc.repository(project) as repo:
        wanted = {digest: dvc.relative_path(out) for out in pushed(repo) for digest in dvc_cache.object_hashes(out)}
        try:
            there = set(repo.cloud.get_remote_odb(command="push").oids_exist(list(wanted)))
        except Exception as error:
            if not isinstance(error, OSError | ValueError) and not buckets.is_fault(error):
                raise  # other than file systems of all kinds say it
            raise GenloopError(f"DVC's remote does not answer as it should: {buckets.explain(error)}") from None
    return [out for digest, out in wanted.items() if digest not in there], len(wanted)


def missing_outputs(project: Project) -> tuple[list[str], int]:
    """Files of outputs that DVC's cache lacks though a remote may have them, and the number of outputs that are shared."""
    with dvc.repository(project) as repo:
        outs = pushed(repo)
        return [file for out in outs for file in dvc.missing_files(out)], len(outs)


def pushed(repo: Any) -> list[dvc.Out]:
    """The outputs that go to remotes."""
    return [out for out in repo.index.outs if out.use_cache and out.hash_info and out.can_push]
