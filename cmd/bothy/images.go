package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
		Use: "images", Aliases: []string{"image"}, Short: "Import, pull, export and list the images of a node of this machine",
		Long: `Import, pull, export and list the images of a node of this machine, in its data
directory, as root; the node may run meanwhile. "computer: {image: NAME}" in the
configuration file makes new environments' computers of an imported image.`,
	}
	add := &cobra.Command{
		Use: "import NAME PATH", Short: "Import an OCI archive, an OCI layout directory, or what docker save writes", Args: cobra.ExactArgs(2),
		RunE: withImages(t, func(cmd *cobra.Command, store *image.Store, args []string) error {
			digest, err := store.Import(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return t.showImage(cmd.Context(), store, args[0], digest)
		}),
	}
	list := &cobra.Command{Use: "ls", Short: "List images", Args: cobra.NoArgs, RunE: withImages(t, t.listImages)}
	export := &cobra.Command{
		Use: "export NAME FILE", Short: "Write an image as an OCI archive; - is the standard output", Args: cobra.ExactArgs(2),
		Long: `Write an image, by name or digest, as an OCI archive, which "bothy images import"
and other tools read. Images that stand on "host" hold this machine's own files and
are not exported.`,
		RunE: withImages(t, func(cmd *cobra.Command, store *image.Store, args []string) error {
			return exportImage(cmd.Context(), t, store, args[0], args[1])
		}),
	}
	for _, c := range []*cobra.Command{add, export, newPull(t), list} {
		addSettings(c.Flags())
		cmd.AddCommand(c)
	}
	return cmd
}

// maxPasswordBytes bounds what is read as a password.
const maxPasswordBytes = 64 << 10

func newPull(t *terminal) *cobra.Command {
	var as string
	var login image.Login
	var stdin bool
	cmd := &cobra.Command{
		Use: "pull REFERENCE", Short: "Pull an image from a registry, such as docker.io/library/python:3.12", Args: cobra.ExactArgs(1),
		RunE: withImages(t, func(cmd *cobra.Command, store *image.Store, args []string) error {
			if stdin != (login.User != "") {
				return mistaken(errors.New("--user and --password-stdin go together"))
			}
			if stdin {
				password, err := io.ReadAll(io.LimitReader(t.in, maxPasswordBytes))
				if err != nil {
					return fmt.Errorf("read the password: %w", err)
				}
				login.Password = strings.TrimRight(string(password), "\r\n")
			}
			name := cmp.Or(as, args[0])
			digest, err := store.Pull(cmd.Context(), args[0], name, login)
			if err != nil {
				return err
			}
			return t.showImage(cmd.Context(), store, name, digest)
		}),
	}
	cmd.Flags().StringVar(&as, "as", "", "name of the image here (default: the reference)")
	cmd.Flags().StringVar(&login.User, "user", "", "user at the registry (default: nobody)")
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the user's password from the standard input")
	return cmd
}

// exportImage writes an archive. A file is there when it is whole.
func exportImage(ctx context.Context, t *terminal, store *image.Store, name, path string) (err error) {
	if path == "-" {
		return store.Export(ctx, name, t.out)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(store.Export(ctx, name, f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return t.did(exportedImage{name, path}, "%s is in %s", name, path)
}

// exportedImage is what export says that it did.
type exportedImage struct {
	Name string `json:"name"`
	File string `json:"file"`
}

func (t *terminal) showImage(ctx context.Context, store *image.Store, name, digest string) error {
	info, err := store.Info(ctx, digest)
	if err != nil {
		return err
	}
	return t.did(shownImage{info.Names, info.State, digest, info.Bytes}, "%s is %s", name, digest)
}

func (t *terminal) listImages(cmd *cobra.Command, store *image.Store, _ []string) error {
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
}

// withImages does something with a node's images.
func withImages(t *terminal, do func(*cobra.Command, *image.Store, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		store, err := openImages(cmd, t)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		return do(cmd, store, args)
	}
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
