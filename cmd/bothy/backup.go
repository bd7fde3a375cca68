package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/backup"
)

func newBackup(t *terminal) *cobra.Command {
	var recipients []string
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Back up the cluster's records and keys, encrypted; - is the standard output", Args: cobra.ExactArgs(1),
		Long: `Back up all records of the cluster and its keys into a file, while it runs. Only the
key that belongs to a recipient opens it, so that it can be kept anywhere; "bothy
backup keygen" makes such a key. Computers' disks are not in it: they are saved to
the blob store. "bothy restore" makes a cluster of it again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := backup.CheckRecipients(recipients); err != nil {
				return usage("--recipient: %v", err)
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			err = wholeFile(t, args[0], func(w io.Writer) error { return c.Backup(cmd.Context(), recipients, w) })
			if err != nil || args[0] == "-" {
				return err
			}
			return t.did(backedUp{args[0]}, "the backup is in %s", args[0])
		},
	}
	cmd.Flags().StringSliceVar(&recipients, "recipient", nil, "whose key opens it, as keygen printed it; several can be given")
	cmd.AddCommand(newBackupKey(t))
	return cmd
}

// backedUp is what backup says that it did.
type backedUp struct {
	File string `json:"file"`
}

func newBackupKey(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "keygen FILE", Short: "Make a key that opens backups, and print its recipient", Args: cobra.ExactArgs(1),
		Long: `Make a key that opens backups, and print the recipient that backups are made for.
Keep the file away from the cluster: whoever has it and a backup has all secrets, and
without it no backup can be restored.`,
		RunE: func(_ *cobra.Command, args []string) error {
			key, recipient, err := backup.NewKey()
			if err != nil {
				return err
			}
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // an older key may be all that opens a backup
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(f, key)
			if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
				return err
			}
			return t.did(backupKey{recipient, args[0]}, "%s", recipient)
		},
	}
}

// backupKey is what keygen says that it made.
type backupKey struct {
	Recipient string `json:"recipient"`
	File      string `json:"file"`
}

func newRestore(t *terminal) *cobra.Command {
	var keyPath string
	cmd := &cobra.Command{
		Use: "restore BACKUP", Short: "Make the first node of a new cluster out of a backup", Args: cobra.ExactArgs(1),
		Long: `Make a new data directory out of a backup: "bothy up" with it runs the first node
of the cluster as it was then, and others join it as they join any. Computers that
were saved come back from the blob store when they are used; runs that were under
way are over. Nodes of the cluster that was must never run again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := loadConfig(cmd.Flags(), t.getenv)
			if err != nil {
				return mistaken(err)
			}
			if keyPath == "" {
				return usage("--key names the file of the key that opens the backup")
			}
			return restore(cmd.Context(), t, config, args[0], keyPath)
		},
	}
	addSettings(cmd.Flags())
	cmd.Flags().StringVar(&keyPath, "key", "", "file of the key that opens the backup")
	return cmd
}

// restored is what restore says that it did.
type restored struct {
	Dir       string    `json:"dir"`
	Cluster   string    `json:"cluster"`
	TakenAt   time.Time `json:"takenAt"`
	Computers int       `json:"computers"`
	Saved     int       `json:"saved"`
	Unsaved   int       `json:"unsaved"`
}

func restore(_ context.Context, t *terminal, config Config, path, keyPath string) error {
	key, err := os.Open(keyPath)
	if err != nil {
		return err
	}
	defer key.Close()
	file, err := openArchive(t, path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, admin, err := actors.MakeKey(actors.NewKey{})
	if err != nil {
		return err
	}
	done, err := cluster.Rebuild(file, key, cluster.Rebuilding{Dir: config.Node.Dir, Name: config.Node.ID, Key: admin,
		Beside: map[string][]byte{keyFile: []byte(text + "\n")}, Now: time.Now(), Log: newLogger(config.Log, t.err)})
	if err != nil {
		return err
	}
	warning := ""
	if done.Unsaved > 0 {
		warning = fmt.Sprintf("; %d had disks that were never saved, which are lost", done.Unsaved)
	}
	return t.did(restored{config.Node.Dir, done.Cluster, done.TakenAt, done.Computers, done.Saved, done.Unsaved},
		"%s holds the cluster as it was at %s: %d computers, %d of them saved%s\nStart it with: bothy up --data-dir %s",
		config.Node.Dir, done.TakenAt.Format(time.RFC3339), done.Computers, done.Saved, warning, config.Node.Dir)
}
