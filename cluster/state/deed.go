package state

import (
	"strconv"
	"strings"
)

// wishActions are what people do to a computer by wishing.
var wishActions = map[Wish]string{WishRunning: "computer.start", WishStopped: "computer.stop", WishDeleted: "computer.delete"}

// deedOf is what an audited command did, by how the records were and how they
// are now; nil for a command that is not audited: what runs do, what nodes
// report, and what the cluster does by the clock.
func deedOf(before, now *View, command Command) (*deed, error) {
	if d := clusterDeed(command); d != nil {
		return d, nil
	}
	if cmd, ok := command.(RemoveNode); ok {
		return nodeRemoved(before, cmd)
	}
	if d := rightsDeed(command); d != nil {
		return d, nil
	}
	if d := computerDeed(command); d != nil {
		return d, nil
	}
	if d, err := environmentDeed(before, now, command); d != nil || err != nil {
		return d, err
	}
	return workDeed(now, command)
}

// clusterDeed is what a command did to what is no account's.
func clusterDeed(command Command) *deed {
	switch cmd := command.(type) {
	case Bootstrap:
		return did("cluster.create", "", cmd.Cluster)
	case RaiseVersion:
		return did("cluster.raise", "", "").saying("command version %d", cmd.Version)
	case Rebuild:
		return did("cluster.rebuild", "", cmd.Node.ID).saying("from a backup, by node %s", cmd.Node.Name)
	case CreateToken:
		return did("token.create", "", clip(cmd.Hash, 12))
	case AdmitNode:
		return did("node.join", "", cmd.Node.ID).saying("%s", cmd.Node.Name)
	case DrainNode:
		return did("node.drain", "", cmd.Node)
	case UndrainNode:
		return did("node.undrain", "", cmd.Node)
	case SetSecret:
		return did("secret.create", "", cmd.Secret.Name)
	case ReplaceSecret:
		return did("secret.set", "", cmd.Secret.Name)
	case DropSecret:
		return did("secret.delete", "", cmd.Name)
	case RotateSecrets:
		return did("secrets.rotate", "", cmd.New.ID)
	}
	return nil
}

// nodeRemoved is the end of a node's membership, by force where its computers
// lose it all the same.
func nodeRemoved(before *View, cmd RemoveNode) (*deed, error) {
	d := did("node.remove", "", cmd.Node)
	n, _, err := before.FindNode(cmd.Node)
	if err != nil || !cmd.Abandon {
		return d.also("%s", n.Name), err
	}
	owned, err := computers.count(before.r, "node", string(cmd.Node))
	return d.also("%s, by force: it owned %d computers", n.Name, owned), err
}

// rightsDeed is what a command did to who may do what, and to what it may cost.
func rightsDeed(command Command) *deed {
	switch cmd := command.(type) {
	case CreateAccount:
		return did("account.create", cmd.Account.ID, cmd.Account.ID).saying("%s", cmd.Account.Name)
	case CreateUser:
		return did("user.create", cmd.User.Account, cmd.User.ID).saying("%s, %s", cmd.User.Name, cmd.User.Role)
	case CreateKey:
		return keyMade(cmd.Key)
	case RevokeKey:
		return did("key.revoke", cmd.Account, cmd.ID)
	case CreateSSHKey:
		return did("sshkey.create", cmd.Key.Account, cmd.Key.ID).saying("%s %s", cmd.Key.Name, cmd.Key.Fingerprint)
	case RevokeSSHKey:
		return did("sshkey.revoke", cmd.Account, cmd.ID)
	case SetRegistry:
		return did("registry.set", cmd.Registry.Account, cmd.Registry.Host)
	case DeleteRegistry:
		return did("registry.delete", cmd.Account, cmd.Host)
	case AddCredit:
		return did("budget.credit", cmd.Account, cmd.Account).saying("%s", cmd.Amount.dollars())
	case SetLimits:
		return limitsSet(cmd)
	}
	return nil
}

// environmentDeed is what a command did to an environment.
func environmentDeed(before, now *View, command Command) (*deed, error) {
	switch cmd := command.(type) {
	case CreateEnvironment:
		return environmentMade(now, cmd)
	case UpdateEnvironment:
		said, err := environmentChange(before, cmd.Environment)
		return did("environment.update", cmd.Environment.Account, cmd.Environment.ID).saying("%s", said), err
	case SetDefaultEnvironment:
		return did("environment.default", cmd.Account, cmd.Environment), nil
	case DeleteEnvironment:
		e, err := before.Environment(cmd.Account, cmd.Environment)
		return did("environment.delete", cmd.Account, cmd.Environment).on(e.Computer), err
	case RequestBuild:
		return did("environment.build", cmd.Account, cmd.Environment), nil
	case CancelBuild:
		return did("environment.cancel-build", cmd.Account, cmd.Environment), nil
	}
	return nil, nil
}

// computerDeed is what a command did to a computer or to what belongs to it.
func computerDeed(command Command) *deed {
	switch cmd := command.(type) {
	case CreateComputer:
		return computerMade(cmd.Computer)
	case UpdateComputer:
		return did("computer.update", cmd.Account, cmd.Computer).on(cmd.Computer)
	case ResizeComputer:
		return did("computer.resize", cmd.Account, cmd.Computer).on(cmd.Computer).saying("%d MiB memory, %d mCPU, %d MiB disk",
			cmd.Size.MemoryBytes>>20, cmd.Size.MilliCPU, cmd.Size.DiskBytes>>20)
	case TransferComputer:
		return did("computer.transfer", cmd.Account, cmd.Computer).on(cmd.Computer).saying("to account %s", cmd.To)
	case RecoverComputer:
		return did("computer.recover", cmd.Account, cmd.Computer).on(cmd.Computer)
	case SetWish:
		return did(wishActions[cmd.Wish], cmd.Account, cmd.Computer).on(cmd.Computer)
	case CreateSnapshot:
		return did("snapshot.create", cmd.Account, cmd.ID).on(cmd.Computer)
	case DeleteSnapshot:
		return did("snapshot.delete", cmd.Account, cmd.ID)
	case OpenSession:
		return did("session.open", cmd.Session.Account, cmd.Session.ID).on(cmd.Session.Computer).saying("%s", cmd.Session.Kind)
	case RevokeSession:
		return did("session.revoke", cmd.Account, cmd.ID).on(cmd.Computer)
	case PublishPort:
		return did("port.publish", cmd.Account, cmd.Port.ID()).on(cmd.Port.Computer).saying("%s", cmd.Port.Visibility)
	case UnpublishPort:
		return did("port.unpublish", cmd.Account, PortID(cmd.Computer, cmd.Port)).on(cmd.Computer)
	case CreateShare:
		return did("share.create", cmd.Share.Account, cmd.Share.ID).on(cmd.Share.Computer).saying("%s", shareText(cmd.Share))
	case RevokeShare:
		return did("share.revoke", cmd.Account, cmd.ID).on(cmd.Computer)
	}
	return nil
}

// workDeed is what a command did to agents, threads, tasks and what begins them.
func workDeed(now *View, command Command) (*deed, error) {
	switch cmd := command.(type) {
	case CreateAgent:
		return did("agent.create", cmd.Agent.Account, cmd.Agent.ID).saying("%s", cmd.Agent.Name), nil
	case UpdateAgent:
		return did("agent.update", cmd.Agent.Account, cmd.Agent.ID).saying("%s", cmd.Agent.Name), nil
	case DeleteAgent:
		return did("agent.delete", cmd.Account, cmd.ID), nil
	case CreateImage:
		return did("image.create", cmd.Image.Account, cmd.Image.ID).saying("%s", cmd.Image.Name), nil
	case DeleteImage:
		return did("image.delete", cmd.Account, cmd.ID), nil
	case CreateSkill:
		return did("skill.create", cmd.Skill.Account, cmd.Skill.ID).saying("%s", cmd.Skill.Name), nil
	case DeleteSkill:
		return did("skill.delete", cmd.Account, cmd.ID), nil
	case DeleteThread:
		return did("thread.delete", cmd.Account, cmd.Thread), nil
	case StartTask:
		if cmd.Computer == nil {
			return nil, nil
		}
		c := *cmd.Computer
		c.Account = cmd.Start.Account
		return computerMade(c), nil
	case ShowTask:
		return did("task.show", cmd.Account, cmd.Task).saying("%s", cmd.Visibility), nil
	case RedeemShare:
		s, err := sessions.get(now.r, string(cmd.Session.ID))
		return did("share.redeem", s.Account, s.Share).on(s.Computer).saying("%s session %s", s.Kind, s.ID), err
	case CreateWebhook:
		return did("webhook.create", cmd.Webhook.Account, cmd.Webhook.ID), nil
	case DeleteWebhook:
		return did("webhook.delete", cmd.Account, cmd.Webhook), nil
	case CreateSchedule:
		return did("schedule.create", cmd.Schedule.Account, cmd.Schedule.ID).saying("%s", cmd.Schedule.Name), nil
	case UpdateSchedule:
		return did("schedule.update", cmd.Schedule.Account, cmd.Schedule.ID).saying("%s", cmd.Schedule.Name), nil
	case DeleteSchedule:
		return did("schedule.delete", cmd.Account, cmd.ID), nil
	case TriggerSchedule:
		return did("schedule.trigger", cmd.Account, cmd.Schedule), nil
	}
	return nil, nil
}

func keyMade(k Key) *deed {
	said := "scopes " + strings.Join(k.Scopes, " ")
	if k.Admin {
		said += ", admin"
	}
	return did("key.create", k.Account, k.ID).saying("%s (%s…), user %s, %s", k.Name, k.Prefix, k.User, said)
}

func limitsSet(cmd SetLimits) *deed {
	var said []string
	if cmd.SetDaily {
		said = append(said, "daily "+limitText(cmd.Daily))
	}
	if cmd.SetMonthly {
		said = append(said, "monthly "+limitText(cmd.Monthly))
	}
	if cmd.AutoReload != nil {
		said = append(said, "auto-reload "+strconv.FormatBool(cmd.AutoReload.Enabled))
	}
	return did("budget.limits", cmd.Account, cmd.Account).saying("%s", strings.Join(said, ", "))
}

func environmentMade(now *View, cmd CreateEnvironment) (*deed, error) {
	e, made, err := environments.find(now.r, string(cmd.Environment.ID))
	if err != nil || !made { // the account had a default already
		return nil, err
	}
	set, _ := sealedChange(nil, e.Secrets)
	d := did("environment.create", e.Account, e.ID).on(e.Computer).saying("%s", e.Name)
	if len(set) > 0 {
		d.detail += "; secrets set: " + strings.Join(set, " ")
	}
	return d, nil
}

func computerMade(c Computer) *deed {
	d := did("computer.create", c.Account, c.ID).on(c.ID).saying("%s", c.Name)
	if c.Source != "" {
		d.also("from snapshot %s", c.Source)
	}
	return d
}

func shareText(s Share) string {
	var allows []string
	if s.AllowBrowser {
		allows = append(allows, "browser")
	}
	if s.AllowVNC {
		allows = append(allows, "vnc")
	}
	return strings.Join(allows, " ")
}
