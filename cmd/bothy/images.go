package main

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var imageColumns = []column[wire.Image]{
	{head: "id", cell: func(i wire.Image) string { return i.ID }},
	{head: "name", cell: func(i wire.Image) string { return i.DisplayName }},
	{head: "status", cell: func(i wire.Image) string { return i.Status }},
	{head: "bytes", cell: func(i wire.Image) string { return bytesOf(i.SizeBytes) }},
	{head: "shared", cell: func(i wire.Image) string { return yes(i.Shared) }},
	{head: "description", cell: func(i wire.Image) string { return cmp.Or(i.FailureReason, i.Description) }},
	{head: "digest", cell: func(i wire.Image) string { return i.Digest }, long: true},
	{head: "reference", cell: func(i wire.Image) string { return i.Reference }, long: true},
	{head: "created", cell: func(i wire.Image) string { return when(&wire.Time{Time: i.CreatedAt}) }, long: true},
}

func newImages(t *terminal) *cobra.Command {
	cmd := noun[wire.Image]{
		name: "images", one: "image", aliases: []string{"image"}, columns: imageColumns,
		list: func(ctx context.Context, c *client.Client, _ client.Page) (wire.List[wire.Image], error) {
			all, err := c.Images().List(ctx)
			return wire.ListOf(all, false, len(all)), err
		},
		get: func(ctx context.Context, c *client.Client, id string) (wire.Image, error) {
			return c.Images().Get(ctx, id)
		},
		remove: func(ctx context.Context, c *client.Client, id string) error { return c.Images().Remove(ctx, id) },
	}.command(t, newImport(t), newPull(t), newExport(t))
	cmd.Short = "Import, pull, export, list and remove what computers are made of"
	return cmd
}

func newImport(t *terminal) *cobra.Command {
	var shared bool
	cmd := &cobra.Command{
		Use: "import NAME PATH", Short: "Import an OCI archive, an OCI layout directory, or what docker save writes", Args: cobra.ExactArgs(2),
		Long: `Import an image: an OCI archive, an OCI layout directory, or what docker save
writes; - is the standard input. Every node can make computers of it then, and
environments can build on it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			archive, err := openArchive(t, args[1])
			if err != nil {
				return err
			}
			defer archive.Close()
			c, err := t.client()
			if err != nil {
				return err
			}
			// It is sent once, to one node. Asking for something first finds one that
			// is up.
			if _, err := c.Images().List(cmd.Context()); err != nil {
				return err
			}
			made, err := c.Images().Import(cmd.Context(), args[0], shared, archive)
			if err != nil {
				return err
			}
			return showOne(t, made, imageColumns)
		},
	}
	cmd.Flags().BoolVar(&shared, "shared", false, "let every account use it; needs an admin key")
	return cmd
}

// openArchive opens a file, or a directory as the tar of it.
func openArchive(t *terminal, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(t.in), nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return os.Open(path)
	}
	out, in := io.Pipe()
	go func() {
		w := tar.NewWriter(in)
		in.CloseWithError(errors.Join(w.AddFS(os.DirFS(path)), w.Close()))
	}()
	return out, nil
}

func newPull(t *terminal) *cobra.Command {
	var ask wire.PullImage
	cmd := &cobra.Command{
		Use: "pull REFERENCE", Short: "Pull an image from a registry, such as docker.io/library/python:3.12", Args: cobra.ExactArgs(1),
		Long: `Pull an image from a registry, with what "bothy registries login" stored for it,
and wait until it is there.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			ask.Reference = args[0]
			made, err := c.Images().Pull(cmd.Context(), ask)
			if err != nil {
				return err
			}
			if made.Status != "active" {
				return fmt.Errorf("%s is %s: %s", made.DisplayName, made.Status, made.FailureReason)
			}
			return showOne(t, made, imageColumns)
		},
	}
	cmd.Flags().StringVar(&ask.Name, "as", "", "name of the image here (default: the reference)")
	cmd.Flags().BoolVar(&ask.Shared, "shared", false, "let every account use it; needs an admin key")
	return cmd
}

func newExport(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "export IMAGE FILE", Short: "Write an image as an OCI archive; - is the standard output", Args: cobra.ExactArgs(2),
		Long: `Write an image as an OCI archive, which "bothy images import" and other tools
read. Images that stand on "host" hold a machine's own files and are not exported.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			return exportImage(cmd.Context(), t, c, args[0], args[1])
		},
	}
}

func exportImage(ctx context.Context, t *terminal, c *client.Client, name, path string) error {
	err := wholeFile(t, path, func(w io.Writer) error { return c.Images().Export(ctx, name, w) })
	if err != nil || path == "-" {
		return err
	}
	return t.did(exportedImage{name, path}, "%s is in %s", name, path)
}

// exportedImage is what export says that it did.
type exportedImage struct {
	Name string `json:"name"`
	File string `json:"file"`
}

// bytesOf is a size in a table; "" for none.
func bytesOf(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
