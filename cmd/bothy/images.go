package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/runtime/image"
)

var imageColumns = []column[shownImage]{
	{head: "names", cell: func(i shownImage) string { return strings.Join(i.Names, ", ") }},
	{head: "state", cell: func(i shownImage) string { return string(i.State) }},
	{head: "digest", cell: func(i shownImage) string { return i.Digest }},
	{head: "bytes", cell: func(i shownImage) string { return fmt.Sprint(i.Bytes) }},
}

// shownImage is an image as it is listed.
type shownImage struct {
	Names  []string    `json:"names"`
	State  image.State `json:"state"`
	Digest string      `json:"digest,omitempty"` // "" while it is not made yet
	Bytes  int64       `json:"bytes"`
}

func newImages(t *terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use: "images", Aliases: []string{"image"}, Short: "Import and list the images of a node of this machine",
		Long: `Import and list the images of a node of this machine, in its data directory, as
root; the node may run meanwhile. "computer: {image: NAME}" in the configuration
file makes new environments' computers of an imported image.`,
	}
	add := &cobra.Command{
		Use: "import NAME PATH", Short: "Import an OCI archive, an OCI layout directory, or what docker save writes", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := openImages(cmd, t)
			if err != nil {
				return err
			}
			defer store.Close()
			digest, err := store.Import(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			info, err := store.Info(cmd.Context(), digest)
			if err != nil {
				return err
			}
			return t.did(shownImage{info.Names, info.State, digest, info.Bytes}, "%s is %s", args[0], digest)
		},
	}
	list := &cobra.Command{
		Use: "ls", Short: "List images", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := openImages(cmd, t)
			if err != nil {
				return err
			}
			defer store.Close()
			infos, err := store.List(cmd.Context())
			if err != nil {
				return err
			}
			shown := make([]shownImage, 0, len(infos))
			for _, i := range infos {
				shown = append(shown, shownImage{i.Names, i.State, i.Digest, i.Bytes})
			}
			if t.json() {
				return t.print(shown)
			}
			return table(t.out, shown, imageColumns)
		},
	}
	for _, c := range []*cobra.Command{add, list} {
		addSettings(c.Flags())
		cmd.AddCommand(c)
	}
	return cmd
}

func openImages(cmd *cobra.Command, t *terminal) (*image.Store, error) {
	config, err := loadConfig(cmd.Flags(), t.getenv)
	if err != nil {
		return nil, mistaken(err)
	}
	if err := makeDataDir(config.Node.Dir); err != nil {
		return nil, err
	}
	return image.Open(image.Options{Dir: imagesDir(config), Recipes: image.DefaultRecipes(), Log: newLogger(config.Log, t.err)})
}

// imagesDir is where a node keeps its images.
func imagesDir(c Config) string { return filepath.Join(c.Node.Dir, "images") }
