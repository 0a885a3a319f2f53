"""Texts of the configurations that messages began on, so that their steps can be shown later."""

from __future__ import annotations

import orjson
from sqlalchemy import select

from pipe.config.models import Configuration
from pipe.store.schema import revision
from pipe.store.transaction import Tx


def keep(tx: Tx, configuration: Configuration, actor: str) -> bool:
    """Stores the files of a configuration that is taken up; whether it is another one than before."""
    r = revision.c
    before = tx.execute(select(r.id).order_by(r.at.desc()).limit(1)).scalar()
    if before == configuration.revision:
        return False
    tx.execute(revision.delete().where(r.id == configuration.revision))
    # The order of the files is kept: the first one is where reading begins.
    files = orjson.dumps(configuration.files)
    tx.insert(revision, id=configuration.revision, at=tx.now, by=actor, files=files)
    tx.audit("configuration.applied", before=before, after=configuration.revision, target="configuration", actor=actor)
    return True
