"""What each operation does beyond its summary, for those who read the description: by operation."""

EXPLANATIONS = {
    "update-live-activity": """
Reaches every card of the group, on all phones, whoever started it. `UPDATE` replaces the whole content state: iOS
merges nothing. `END` without a content state sends the newest one. A card whose update token has not arrived is *held*
and gets the newest state with its token. An unknown group is answered with 200 and counted, unless the app asks for an
error (`skerry app set APP --strict-groups`).
""",
    "sendNotification": """
One entry, or a list; all are read before any is carried out, and one that is wrong refuses all. A header
`Idempotency-Key` makes a repeat free for a day.
""",
    "sendBulkNotification": """
A device that runs the activity already is skipped, so a second start reaches those who came since. A header
`Idempotency-Key`, or else `extRef`, makes a repeat free for a day: it gets the first answer. Without a group id the
activity gets its name from the first device that reports an update token.
""",
    "createNotificationDefinition": """
Sends nothing. The fields stand at the root, or under `message` with `text` beside `title`. What no send could ever
deliver (over 4 KB) is refused here.
""",
    "fireEvents": """
For apps that report through your backend instead of `POST /v1/events`. Only the three Live Activity events are known.
Without `installationId` and `deviceToken` the device is the one that holds the token, or the user's only device, or the
one that waits for this group; else a new one.
""",
    "registerUsers": "Entries that are wrong are skipped; where all are, the first one's error is the answer.",
    "deleteUsers": "Users, their tags and profiles go; their devices stay as nobody's, and `sendToAll` reaches them.",
    "deleteUsersPermanently": "Users go with their devices and tokens. Cards on their phones get nothing more.",
    "enablePush": "Kept and told by getDevices. Live Activities do not ask for it, as on iOS.",
    "disablePush": "Kept and told by getDevices. Live Activities do not ask for it, as on iOS.",
    "tagUsers": "Unknown users are skipped.",
    "untagUsers": "Unknown users are skipped.",
    "setProfileAttributes": "Attributes that are not named stay; null removes one. Unknown users are skipped.",
    "unsetProfileAttributes": "Unknown users are skipped.",
    "pushProfileAttributes": "A value that is there already is not added again; a single value becomes a list.",
    "pullProfileAttributes": "What is left is a list, possibly an empty one.",
    "deleteProfileAttributes": "From every user of the app.",
    "deleteProfileAttributeValue": "From every user: the attribute where it has this value, or the value in its list.",
    "getProfileAttributes": "An unknown user is 400 with code 5016.",
    "getDevices": "An unknown user is 400 with code 5016.",
    "getDeviceTokens": "Ordinary notification tokens; start and update tokens are never told.",
    "getPushStats": """
With `notificationKey`: the counts of one bulk start or definition. Without: those made within the window, at most 1000,
the newest first, under `messages`. Updates and ends have no key; `skerry activity show` tells of them.
""",
    "getPushResult": "One entry for each start of a device, and for each named user or device that was not started.",
    "reportEvents": """
For the app itself, with the SDK key. The first report of an installation binds it to its secret. The newest report of a
token wins and a repeated one is free, so an app may simply say again what it knows. A refused event does not hold up
the others of its report.
""",
    "getTimeline": """
The activity's events, the oldest first, as far as they are kept (`retention.events_days`); the page Events explains the
kinds. With `installation` the answer says for that phone what became of each revision (`on_phone`), and under `phone`
whether its card shows what it should and if not, why. A phone without a card is answered with the reason of the start
that passed it over, `NO_START_TOKEN`, or `NOT_STARTED`: it is not in the audience, or its turn has not come.
""",
    "schedule": """
The same body as PUT takes, or with `"action": "end"` the one of DELETE, and `at`. What can be checked is checked now;
what fails at its time is kept with its problem and told as an event. A start or update may bring `phases`, which count
from `at`. Without an `audience` it updates what runs and starts nothing. A local time that clocks skip is moved on by
as much as they are; of one that they show twice the first is meant. 409 where too many wait.
""",
    "listScheduledOf": "In the order in which they were made. An activity that is not known (yet) has none or some.",
    "listScheduled": "In the order in which they were made. Those that wait no more are kept as long as events are.",
    "cancelScheduled": "One that is cancelled already stays so; 409 for one that was done or has failed.",
    "streamEvents": """
Goes on until you leave. A stream that comes back with `Last-Event-ID`, or with `after`, misses nothing that is still
kept. The kinds of events, and what `gap` and `end` say, are on the page Events.
""",
    "listWebhooks": "By name; secrets are not shown.",
    "putWebhook": """
A new webhook is told of what happens from then on, and its answer carries the secret that requests are signed with, as
Standard Webhooks has it. The secret is shown once. A webhook that had failed begins anew.
""",
    "getWebhook": "The secret is not shown: rotate it where it is lost.",
    "deleteWebhook": "With its log and all that waits for it.",
    "rotateWebhookSecret": "Shown once. For a day requests carry a signature with the old secret beside the new one.",
    "listWebhookAttempts": "Kept as long as events are.",
    "listDeadLetters": "By event. What is past the retention of events is not there any more.",
    "replayDeadLetters": "Each begins with its first attempt.",
    "resendEvent": "Whatever kinds the webhook wants, and whether it was told of the event before or not.",
    "getSegments": """
Segments are stored with `PUT /v1/segments/{name}`. A user counts who has a device of the header's platform in the
segment; `type` is always DYNAMIC. An app with many large segments waits a second for each.
""",
    "getSegmentUsers": "An unknown segment is 400 with code 5042. `nextPage` is null on the last page.",
    "previewAudience": """
Nothing is started or stored. A device that cannot be started counts under one reason, the first that holds of: it is no
iPhone or iPad; its start token is dead; it has tokens for other attributes types only; its iOS is older than 17.2; it
has no start token; the activity runs on it; the activity was swiped away on it; its user's profile lacks a value for a
placeholder. The last is only asked where `attributes`, `state` or `alert` are sent, which are otherwise not looked at;
of an alert in several languages the placeholders of all count. `matched` is `startable` and all of these. `doubts` are
among the startable, and a device may have both.
""",
    "putSegment": """
Segments may be made of others. A start looks up what a name stands for once, when it is accepted; who belongs to it is
asked while the start is spread out.
""",
    "deleteSegment": "409 where other segments are made of it; the answer names them.",
    "batchActivities": """
NDJSON: one object a line, at most 100,000 lines and 32 MiB; the answer has one line for each, in order, each sent once
it is on disk. A line means what a PUT of the same activity means that leaves out audience, policies and `ends_at`: they
stay as they are. A script that is under way stops, as with a PUT without `phases`. It makes no activity and runs none
again that has ended. A line that is wrong is refused alone, with the problem in `error`. Lines of one activity are
carried out in their order. Blank lines are skipped.

A repeated line is a `noop`, and a `version` keeps late ones out. `Idempotency-Key` makes a repeat of the whole free for
a day: lines that were carried out have their first answer, and the others are carried out, as after a connection that
broke in the midst. Lines are carried out 256 at a time; where the caller goes away, those that have not begun are not.
""",
    "healthz": "503 when a background loop has ended for good. For the process manager.",
    "readyz": "503 with what is wrong where the store cannot be read. For the load balancer.",
    "metrics": "See the reference of metrics.",
    "openapi": "OpenAPI 3.1.",
}
