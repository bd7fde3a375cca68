package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// maxSkillBytes bounds what is read of a directory: a node takes less.
const maxSkillBytes = 1 << 20

var skillColumns = []column[wire.Skill]{
	{head: "id", cell: func(s wire.Skill) string { return s.ID }},
	{head: "name", cell: func(s wire.Skill) string { return s.Name }},
	{head: "description", cell: func(s wire.Skill) string { return s.Description }},
	{head: "files", cell: func(s wire.Skill) string { return fmt.Sprint(s.FileCount) }},
	{head: "bytes", cell: func(s wire.Skill) string { return fmt.Sprint(s.SizeBytes) }},
	{head: "created", cell: func(s wire.Skill) string { return when(&s.CreatedAt) }},
}

func newSkills(t *terminal) *cobra.Command {
	return noun[wire.Skill]{
		name: "skills", one: "skill", aliases: []string{"skill"}, columns: skillColumns,
		list: func(ctx context.Context, c *client.Client, p client.Page) (wire.List[wire.Skill], error) {
			return c.Skills().List(ctx, p)
		},
		get: func(ctx context.Context, c *client.Client, id string) (wire.Skill, error) {
			return c.Skills().Get(ctx, id)
		},
		remove: func(ctx context.Context, c *client.Client, id string) error {
			return c.Skills().Delete(ctx, id)
		},
	}.command(t, newAddSkill(t))
}

func newAddSkill(t *terminal) *cobra.Command {
	var w wire.CreateSkill
	cmd := &cobra.Command{
		Use: "add DIR", Short: "Store a directory with a SKILL.md as a skill", Args: cobra.ExactArgs(1),
		Long: `Store a directory with a SKILL.md as a skill. SKILL.md begins with its name and
description, as YAML between two lines of three hyphens. Agents that name it in
enabledSkills find the directory at /workspace/.skills/NAME.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if w.Files, err = readSkill(args[0]); err != nil {
				return err
			}
			made, err := c.Skills().Create(cmd.Context(), w)
			if err != nil {
				return err
			}
			return showOne(t, made, skillColumns)
		},
	}
	cmd.Flags().StringVar(&w.Name, "name", "", "instead of the one in SKILL.md")
	cmd.Flags().StringVar(&w.Description, "description", "", "instead of the one in SKILL.md")
	return cmd
}

// readSkill reads a directory's files. Links are not followed out of it.
func readSkill(dir string) (files []wire.SkillFile, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	left := int64(maxSkillBytes)
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := root.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(f, left+1))
		if left -= int64(len(text)); err == nil && left < 0 {
			err = fmt.Errorf("%s holds more than %d bytes, too much for a skill", dir, maxSkillBytes)
		}
		one := wire.SkillFile{Path: path, Content: string(text), Executable: info.Mode()&0o100 != 0}
		if !utf8.Valid(text) {
			one.Content, one.Encoding = base64.StdEncoding.EncodeToString(text), "base64"
		}
		files = append(files, one)
		return err
	})
	return files, err
}
