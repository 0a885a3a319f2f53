"""Texts of the configurations that messages began on, so that their steps can be shown later."""

from __future__ import annotations

import orjson
from sqlalchemy import select

from pipe.config.models import Configuration
from pipe.store.schema import revision
from pipe.store.transaction import Tx


def keep(tx: Tx, configuration: Configuration, actor: str) -> bool:
    """Stores the files of a configuration that is taken up, once for each revision; whether it was new."""
    found = tx.execute(select(revision.c.id).where(revision.c.id == configuration.revision)).first()
    if found is not None:
        return False
    before = tx.execute(select(revision.c.id).order_by(revision.c.at.desc()).limit(1)).scalar()
    # The order of the files is kept: the first one is where reading begins.
    files = orjson.dumps(configuration.files)
    tx.insert(revision, id=configuration.revision, at=tx.now, by=actor, files=files)
    tx.audit("configuration.applied", before=before, after=configuration.revision, target="configuration", actor=actor)
    return True
