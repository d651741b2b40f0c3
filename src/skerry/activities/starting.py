"""From what a caller asked for to a start: the group id's places, placeholders, overrides. Pure.

Source of the rules: netmera.md sections 4, 5.4 and 5.6.
"""

from dataclasses import dataclass, replace

from skerry.domain import payload, personal
from skerry.domain.activity import Start
from skerry.domain.commands import Send, Template
from skerry.domain.ids import GroupId, NotificationKey


@dataclass(frozen=True, slots=True)
class NamedStart:
    """A start and the names of its activity: the caller's, and the one inside the attributes where it differs."""

    start: Start
    names: tuple[GroupId, ...]


def filled(template: Template, send: Send) -> Template:
    """The definition with what one send overrides: objects merged member by member, the rest replaced."""
    return replace(
        template,
        title=send.title if send.title is not None else template.title,
        text=send.text if send.text is not None else template.text,
        alert_title=send.alert_title if send.alert_title is not None else template.alert_title,
        state=payload.merged(template.state, send.state) or b"{}",
        attributes=payload.merged(template.attributes, send.attributes) or b"{}",
        group_id=send.group_id or template.group_id,
        ends_at=send.ends_at if send.ends_at is not None else template.ends_at,
        priority=send.priority if send.priority is not None else template.priority,
        params={**template.params, **send.params},
    )


def named_start(template: Template, notification_key: NotificationKey) -> NamedStart:
    """The start that a template asks for.

    A known group id is put into the attributes as `netmeraGroupId`, or the Swift SDK could never report an update
    token; attributes that carry their own are left as they are, and both ids lead to the activity.

    Raises:
        FieldRefusedError: if a parameter is not what its placeholder asks for.
    """
    params = template.params
    attributes = personal.with_params(template.attributes, params)
    own = payload.text_members(attributes).get(payload.GROUP_ID_ATTRIBUTE) or None
    if template.group_id and own is None and payload.GROUP_ID_ATTRIBUTE not in payload.members(attributes):
        attributes = payload.with_member(attributes, payload.GROUP_ID_ATTRIBUTE, template.group_id)
    names = dict.fromkeys(GroupId(name) for name in (template.group_id, own) if name)
    alert = payload.alert_of(template.alert_title or template.title, template.text, template.languages)
    return NamedStart(
        start=Start(
            attributes_type=template.attributes_type,
            attributes=attributes,
            state=personal.with_params(template.state, params),
            alert=personal.with_params(alert, params),
            priority=template.priority,
            ends_at=template.ends_at,
            notification_key=notification_key,
        ),
        names=tuple(names),
    )
