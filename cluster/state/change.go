package state

// Change tells a watcher that a record is not what it was. It is a hint to
// look again, never the new value.
type Change struct {
	Noun Noun
	ID   string
	// Node is the owner that has to act, where one has: a node skips the
	// changes of others' computers without reading a record.
	Node NodeID
}

// Noun is a kind of record that can be watched.
type Noun string

const (
	ChangedNode        Noun = "node"
	ChangedComputer    Noun = "computer"
	ChangedEnvironment Noun = "environment"
	ChangedThread      Noun = "thread" // its log grew or its record changed
	ChangedRun         Noun = "run"    // began, was asked to stop, or ended
	ChangedCluster     Noun = "cluster"
	ChangedOperation   Noun = "operation"
	ChangedSession     Noun = "session"  // an access session was revoked or went with its computer
	ChangedPort        Noun = "port"     // its visibility changed, or it was unpublished
	ChangedSnapshot    Noun = "snapshot" // is to be deleted
	ChangedBuild       Noun = "build"    // was given to a node, its log grew, or it ended
	ChangedSSHKey      Noun = "sshkey"   // was revoked
	ChangedSecretsKeys Noun = "secretskeys"
	ChangedSchedule    Noun = "schedule" // is due at another time than before
	ChangedWebhook     Noun = "webhook"  // is to be told something
	ChangedImage       Noun = "image"    // is to be pulled, was, or was deleted
)
