package state

import "reflect"

// kinds is every command that the log can hold, by the name it is stored
// under. Names are for ever: an old log must still be readable.
var kinds = map[string]kind{
	"bootstrap":               of[Bootstrap](1),
	"raise-version":           of[RaiseVersion](1),
	"create-token":            of[CreateToken](1),
	"admit-node":              of[AdmitNode](1),
	"take-incarnation":        of[TakeIncarnation](1),
	"renew-lease":             of[RenewLease](1),
	"expire-lease":            of[ExpireLease](1),
	"remove-node":             of[RemoveNode](1),
	"drain-node":              of[DrainNode](5),
	"undrain-node":            of[UndrainNode](5),
	"create-account":          of[CreateAccount](1),
	"create-user":             of[CreateUser](1),
	"create-key":              of[CreateKey](1),
	"revoke-key":              of[RevokeKey](1),
	"add-credit":              of[AddCredit](1),
	"set-limits":              of[SetLimits](1),
	"take-requests":           of[TakeRequests](1),
	"return-requests":         of[ReturnRequests](1),
	"create-agent":            of[CreateAgent](1),
	"update-agent":            of[UpdateAgent](1),
	"delete-agent":            of[DeleteAgent](1),
	"create-environment":      of[CreateEnvironment](1),
	"update-environment":      of[UpdateEnvironment](1),
	"set-default-environment": of[SetDefaultEnvironment](1),
	"delete-environment":      of[DeleteEnvironment](1),
	"create-computer":         of[CreateComputer](2),
	"update-computer":         of[UpdateComputer](2),
	"resize-computer":         of[ResizeComputer](2),
	"resized":                 of[Resized](2),
	"transfer-computer":       of[TransferComputer](2),
	"claim":                   of[Claim](1),
	"hand-over":               of[HandOver](5),
	"set-wish":                of[SetWish](1),
	"set-phase":               of[SetPhase](1),
	"record-usage":            of[RecordUsage](1),
	"create-thread":           of[CreateThread](1),
	"patch-thread":            of[PatchThread](1),
	"delete-thread":           of[DeleteThread](1),
	"copy-thread":             of[CopyThread](1),
	"start-run":               of[StartRun](1),
	"cancel-run":              of[CancelRun](1),
	"append":                  of[Append](1),
	"create-snapshot":         of[CreateSnapshot](2),
	"snapshot-made":           of[SnapshotMade](2),
	"delete-snapshot":         of[DeleteSnapshot](2),
	"snapshot-gone":           of[SnapshotGone](2),
	"keep-disk":               of[KeepDisk](1),
	"drop-disk":               of[DropDisk](1),
	"record-probes":           of[RecordProbes](2),
	"create-ssh-key":          of[CreateSSHKey](2),
	"revoke-ssh-key":          of[RevokeSSHKey](2),
	"use-ssh-key":             of[UseSSHKey](2),
	"set-secret":              of[SetSecret](2),
	"open-session":            of[OpenSession](2),
	"revoke-session":          of[RevokeSession](2),
	"publish-port":            of[PublishPort](2),
	"unpublish-port":          of[UnpublishPort](2),
	"create-share":            of[CreateShare](2),
	"revoke-share":            of[RevokeShare](2),
	"redeem-share":            of[RedeemShare](2),
	"request-build":           of[RequestBuild](3),
	"claim-build":             of[ClaimBuild](3),
	"begin-build":             of[BeginBuild](3),
	"append-build-log":        of[AppendBuildLog](3),
	"finish-build":            of[FinishBuild](3),
	"release-build":           of[ReleaseBuild](3),
	"cancel-build":            of[CancelBuild](3),
	"start-task":              of[StartTask](4),
	"show-task":               of[ShowTask](4),
	"create-webhook":          of[CreateWebhook](4),
	"delete-webhook":          of[DeleteWebhook](4),
	"record-delivery":         of[RecordDelivery](4),
	"rotate-secrets":          of[RotateSecrets](4),
	"reseal":                  of[Reseal](4),
	"move-rotation":           of[MoveRotation](4),
	"create-skill":            of[CreateSkill](4),
	"delete-skill":            of[DeleteSkill](4),
	"record-diff":             of[RecordDiff](4),
	"create-schedule":         of[CreateSchedule](4),
	"update-schedule":         of[UpdateSchedule](4),
	"delete-schedule":         of[DeleteSchedule](4),
	"fire":                    of[Fire](4),
	"trigger-schedule":        of[TriggerSchedule](4),
	"create-image":            of[CreateImage](4),
	"end-pull":                of[EndPull](4),
	"delete-image":            of[DeleteImage](4),
	"set-registry":            of[SetRegistry](4),
	"delete-registry":         of[DeleteRegistry](4),
	"save-disk":               of[SaveDisk](5),
	"dirty-disk":              of[DirtyDisk](5),
	"restore-disk":            of[RestoreDisk](5),
	"recover-computer":        of[RecoverComputer](5),
	"disk-kept":               of[DiskKept](5),
	"snapshot-saved":          of[SnapshotSaved](5),
	"reach-store":             of[ReachStore](5),
	"give-disk":               of[GiveDisk](6),
	"return-disk":             of[ReturnDisk](6),
	"rebuild":                 of[Rebuild](5),
	"replace-secret":          of[ReplaceSecret](5),
	"drop-secret":             of[DropSecret](5),
	"record-uses":             of[RecordUses](usesVersion),
	"sweep":                   of[Sweep](1),
}

// kind is how a command is read back, and since which command version.
type kind struct {
	typ     reflect.Type
	version int
}

func of[T Command](version int) kind { return kind{reflect.TypeFor[T](), version} }

var names = func() map[reflect.Type]string {
	byType := make(map[reflect.Type]string, len(kinds))
	for name, k := range kinds {
		byType[k.typ] = name
	}
	return byType
}()

// KindOf is the name a command is stored under, or "" for one that is not registered.
func KindOf(cmd Command) string { return names[reflect.TypeOf(cmd)] }

// VersionOf is the command version that a command needs; a cluster at an older
// version is not sent it.
func VersionOf(cmd Command) int { return VersionOfKind(KindOf(cmd)) }

// VersionOfKind is VersionOf for a command by its name. One that this build does
// not know is of a later version than all that it does.
func VersionOfKind(name string) int {
	if k, ok := kinds[name]; ok {
		return k.version
	}
	return CommandVersion + 1
}
