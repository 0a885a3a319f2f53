"""What commands and pages may ask of rights: one function each, listed by name. See `pipe.operations`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from flows.access.operations import companies, folk, granting, importing, looking, questions, structure

OPERATIONS: Mapping[str, Callable[..., Awaitable[Any]]] = MappingProxyType(
    {
        "access.permissions": granting.permissions,
        "access.people": folk.find,
        "access.person": folk.show,
        "access.person.add": folk.add,
        "access.person.change": folk.change,
        "access.person.move": folk.move,
        "access.person.appoint": folk.appoint,
        "access.person.withdraw": folk.withdraw,
        "access.people.import": importing.import_people,
        "access.people.export": importing.export_people,
        "access.tree": structure.tree,
        "access.tree.add": structure.add,
        "access.tree.change": structure.change,
        "access.tree.remove": structure.remove,
        "access.roles": granting.list_roles,
        "access.role.put": granting.put_role,
        "access.role.remove": granting.remove_role,
        "access.grants": granting.list_grants,
        "access.grant.give": granting.give,
        "access.grant.approve": granting.approve,
        "access.grant.revoke": granting.revoke,
        "access.rules": granting.list_rules,
        "access.rule.forbid": granting.forbid,
        "access.rule.separate": granting.separate,
        "access.rule.field": granting.rule_field,
        "access.rule.lift": granting.lift,
        "access.who_can": questions.who_can,
        "access.what_can": questions.what_can,
        "access.why_not": questions.why_not,
        "audit.findings": looking.find,
        "companies": companies.list_companies,
        "companies.export": companies.export_companies,
    }
)
