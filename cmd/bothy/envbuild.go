package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// errBuild is a build that failed; its log and reason were shown.
var errBuild = errors.New("the build failed")

func newEnvBuild(t *terminal) *cobra.Command {
	var force, cancel, detach bool
	cmd := &cobra.Command{
		Use: "build ID", Short: "Build an environment's image and show what the build says", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			envs := c.Environments()
			if cancel {
				asked, err := envs.CancelBuild(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return t.did(asked, "%s", asked.Message)
			}
			asked, err := envs.Build(cmd.Context(), args[0], force)
			if err != nil {
				return err
			}
			if detach || asked.BuildStatus == "ready" {
				return t.did(asked, "%s", asked.Message)
			}
			return t.followBuild(cmd.Context(), envs, args[0], or(asked.BuildID))
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "build also what is up to date, and take nothing from earlier builds")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "end what is under way instead")
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait for the end")
	return cmd
}

// followBuild shows a build's log until it ends, and fails if it does.
func (t *terminal) followBuild(ctx context.Context, envs client.Environments, id, build string) error {
	end, err := envs.FollowBuild(ctx, id, build, func(text string) error {
		_, err := fmt.Fprint(t.err, text)
		return err
	})
	if err != nil {
		return err
	}
	if end.BuildError != nil {
		return fmt.Errorf("%w: %s", errBuild, *end.BuildError)
	}
	return t.did(end, "ready: %s", or(end.ImageTag))
}

func newEnvLogs(t *terminal) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use: "logs ID", Short: "Show what an environment's newest build says", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if follow {
				return t.followBuild(cmd.Context(), c.Environments(), args[0], "")
			}
			logs, err := c.Environments().BuildLogs(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if t.json() {
				return t.print(logs)
			}
			_, err = fmt.Fprint(t.out, logs.BuildLogs)
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the build has ended")
	return cmd
}

func newEnvDockerfile(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "dockerfile ID", Short: "Show the Dockerfile that an environment's image is built by", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			var d wire.Dockerfile
			if d, err = c.Environments().Dockerfile(cmd.Context(), args[0]); err != nil {
				return err
			}
			if t.json() {
				return t.print(d)
			}
			_, err = fmt.Fprintln(t.out, strings.TrimRight(d.EffectiveDockerfile, "\n"))
			return err
		},
	}
}
