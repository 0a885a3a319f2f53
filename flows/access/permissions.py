"""The written catalogue of everything that can be allowed. A permission that does not stand here does not exist.

Adding one: a line below, and the operation that demands it. A name is for ever: roles in every store hold it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipe.errors import BadRequest
from pipe.refusing import refused


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that can be done."""

    name: str
    uk: str
    en: str
    guarded: bool = False
    """only who has it himself can hand it on: what rights, keys and the audit are governed with"""

    @property
    def area(self) -> str:
        """The word before the dot."""
        return self.name.partition(".")[0]


def _guarded(name: str, uk: str, en: str) -> Permission:
    return Permission(name, uk, en, guarded=True)


CATALOGUE: tuple[Permission, ...] = (
    # The organisation.
    Permission("company.read", "бачити компанії", "see companies"),
    Permission("company.edit", "створювати і змінювати компанії", "create and change companies"),
    Permission("company.close", "закривати компанії", "close companies"),
    Permission("unit.read", "бачити підрозділи й посади", "see units and positions"),
    Permission("unit.edit", "змінювати підрозділи й посади", "change units and positions"),
    Permission("group.read", "бачити групи", "see groups"),
    Permission("group.edit", "змінювати групи", "change groups"),
    # People.
    Permission("person.read", "бачити людей", "see people"),
    Permission("person.create", "заводити людей", "add people"),
    Permission("person.edit", "змінювати дані людей", "change people's data"),
    Permission("person.move", "призначати на посади й у групи", "appoint to positions and groups"),
    Permission("person.block", "блокувати і впускати", "block and admit people"),
    Permission("person.dismiss", "звільняти", "note that people have left"),
    Permission("person.export", "вивантажувати списки людей", "export lists of people"),
    Permission("person.forget", "стирати дані звільнених", "wipe the data of who has left"),
    # Rights.
    _guarded("role.read", "бачити ролі", "see roles"),
    _guarded("role.edit", "змінювати ролі", "change roles"),
    _guarded("grant.read", "бачити надані права", "see grants"),
    _guarded("grant.give", "надавати права", "give rights"),
    _guarded("grant.approve", "затверджувати права найвищого рівня", "approve rights of the highest level"),
    _guarded("grant.revoke", "відкликати права", "take rights back"),
    _guarded("rule.read", "бачити заборони, розмежування і правила полів", "see forbids, separations and field rules"),
    _guarded("rule.edit", "змінювати заборони, розмежування і правила полів", "change forbids, separations, fields"),
    _guarded("access.explain", "питати, хто що може і чому ні", "ask who can do what, and why not"),
    Permission("access.emergency", "брати аварійну роль із поясненням", "take an emergency role with a reason"),
    # Sign-in.
    _guarded("session.read", "бачити сеанси", "see sessions"),
    _guarded("session.end", "завершувати чужі сеанси", "end other people's sessions"),
    _guarded("key.read", "бачити ключі доступу", "see API keys"),
    _guarded("key.issue", "видавати ключі доступу", "issue API keys"),
    _guarded("key.revoke", "відкликати ключі доступу", "revoke API keys"),
    _guarded("password.reset", "скидати паролі й другий фактор", "reset passwords and second factors"),
    # The audit.
    _guarded("audit.read", "читати журнал аудиту", "read the audit"),
    _guarded("audit.export", "вивантажувати журнал аудиту", "export the audit"),
    _guarded("audit.verify", "перевіряти цілісність журналу", "verify the audit"),
    # The gateway.
    Permission("gateway.read", "бачити стан шлюзу", "see how the gateway does"),
    Permission("gateway.diagnose", "запускати самоперевірку", "run the doctor"),
    Permission("connection.read", "бачити з'єднання", "see connections"),
    Permission("connection.switch", "зупиняти і запускати з'єднання", "pause and resume connections"),
    Permission("route.read", "бачити маршрути", "see routes"),
    Permission("route.switch", "зупиняти і запускати маршрути", "pause and resume routes"),
    _guarded("configuration.apply", "вводити в дію конфігурацію", "apply configurations"),
    _guarded("secret.set", "записувати секрети", "set secrets"),
    _guarded("backup.make", "робити резервні копії", "make backups"),
    _guarded("subject.erase", "стирати дані заявника", "erase a subject's data"),
    Permission("ledger.read", "бачити баланс повідомлень", "see the ledger"),
    Permission("message.read", "бачити, що сталося з повідомленням", "see what became of messages"),
    Permission("message.read_body", "бачити вміст повідомлень", "see what messages hold"),
    Permission("message.export", "вивантажувати повідомлення", "export messages"),
    Permission("dead.read", "бачити недоставлене", "see dead letters"),
    Permission("dead.replay", "повторювати недоставлене", "replay dead letters"),
    Permission("dead.edit", "правити недоставлене і надсилати", "edit dead letters and send them"),
    Permission("dead.discard", "списувати недоставлене", "discard dead letters"),
    Permission("alert.read", "бачити тривоги", "see alerts"),
    Permission("alert.edit", "підтверджувати тривоги, змінювати правила", "acknowledge alerts, change their rules"),
    Permission("setting.read", "бачити налаштування компанії", "see a company's settings"),
    Permission("setting.edit", "змінювати налаштування компанії", "change a company's settings"),
    # The desk.
    Permission("conversation.read", "бачити розмови", "see conversations"),
    Permission("conversation.reply", "відповідати заявникам", "answer applicants"),
    Permission("conversation.transfer", "передавати розмови", "transfer conversations"),
    Permission("conversation.close", "завершувати розмови", "close conversations"),
    Permission("conversation.supervise", "бачити розмови інших операторів", "watch other operators' conversations"),
    Permission("conversation.export", "вивантажувати розмови", "export conversations"),
    Permission("file.read", "відкривати файли", "open files"),
    Permission("file.add", "додавати файли", "add files"),
    Permission("file.remove", "вилучати файли", "remove files"),
    Permission("document.read", "читати документи", "read documents"),
    Permission("document.edit", "змінювати документи", "change documents"),
    Permission("document.remove", "вилучати документи", "remove documents"),
    Permission("record.read", "читати записи реєстрів", "read records of registries"),
    Permission("record.edit", "змінювати записи реєстрів", "change records of registries"),
    Permission("autoreply.read", "бачити автовідповіді", "see automatic replies"),
    Permission("autoreply.edit", "змінювати автовідповіді", "change automatic replies"),
    Permission("channel.read", "бачити канали компанії", "see a company's channels"),
    Permission("channel.edit", "змінювати канали й ботів", "change channels and bots"),
    Permission("otp.read", "бачити стан одноразових паролів", "see how one-time passwords do"),
    Permission("otp.edit", "налаштовувати одноразові паролі", "set one-time passwords up"),
    Permission("otp.unlock", "знімати блокування одноразових паролів", "unlock one-time passwords"),
    Permission("crm.read", "бачити звернення в CRM", "see what the CRM holds"),
    Permission("crm.edit", "налаштовувати CRM", "set the CRM up"),
    Permission("report.read", "бачити звіти", "see reports"),
    Permission("report.export", "вивантажувати звіти", "export reports"),
)

PERMISSIONS: Mapping[str, Permission] = MappingProxyType({each.name: each for each in CATALOGUE})


def permission(name: str) -> Permission:
    """The permission of a name. Raises BadRequest for one that does not exist."""
    found = PERMISSIONS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, PERMISSIONS, 1)
        hint = f"did you mean `{near[0]}`?" if near else "`pipe access permissions` lists them all"
        raise refused(BadRequest, "no_permission", hint=hint, permission=name)
    return found
