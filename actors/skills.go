package actors

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// skillsDir is where a computer's user finds the skills of a run.
const skillsDir = workspaceDir + "/.skills"

// Skills are directories of instructions that agents may be given.
type Skills struct{ cluster Cluster }

// Create stores a skill, whose name and files the door has checked.
func (s *Skills) Create(ctx context.Context, c Caller, skill state.Skill, files []state.SkillFile) (state.Skill, error) {
	skill.ID, skill.Account, skill.User = newID[state.SkillID]("skill"), c.Account, c.User
	made, err := propose[state.Made](ctx, s.cluster, state.CreateSkill{Skill: skill, Files: files, Idempotency: c.Idempotency})
	if err != nil {
		return skill, err
	}
	return applied(s.cluster, func(v *state.View) (state.Skill, error) { return v.Skill(c.Account, made.Resource.ID) })
}

// Delete removes a skill by its id or its name.
func (s *Skills) Delete(ctx context.Context, c Caller, idOrName string) error {
	skill, err := view(ctx, s.cluster, func(v *state.View) (state.Skill, error) { return v.Skill(c.Account, idOrName) })
	if err != nil {
		return err
	}
	_, err = s.cluster.Apply(ctx, state.DeleteSkill{Account: c.Account, ID: skill.ID})
	return err
}

// skillsNamed are the skills of an account by their names, each once. A name
// that it does not have is Invalid, of a field.
func skillsNamed(v *state.View, account state.AccountID, field string, names []string) ([]state.RunSkill, error) {
	var all []state.RunSkill
	seen := map[state.SkillID]bool{}
	for i, name := range names {
		s, err := v.Skill(account, name)
		if fault.Is(err, fault.NotFound) {
			err = fault.New(fault.Invalid, "%s[%d]: there is no skill %q; bothy skills ls shows those there are", field, i, name).WithField(field)
		}
		if err != nil {
			return nil, err
		}
		if !seen[s.ID] {
			seen[s.ID] = true
			all = append(all, state.RunSkill{ID: s.ID, Name: s.Name, Description: s.Description})
		}
	}
	return all, nil
}

// skillsOf are the skills that a run is given: its message's or, where that
// names none, its agent's. Those of the agent that are gone are told.
func skillsOf(v *state.View, account state.AccountID, agent *state.Agent, n NewRun) (given []state.RunSkill, gone []string, err error) {
	if n.Skills != nil || agent == nil {
		given, err = skillsNamed(v, account, cmp.Or(n.SkillsField, "enabledSkills"), n.Skills)
		return given, nil, err
	}
	for _, name := range agent.EnabledSkills {
		one, err := skillsNamed(v, account, "enabledSkills", []string{name})
		switch {
		case fault.Is(err, fault.Invalid):
			gone = append(gone, name)
		case err != nil:
			return nil, nil, err
		}
		given = append(given, one...)
	}
	return given, gone, nil
}

// aboutSkills tells a model which skills it has and where to read on.
func aboutSkills(given []state.RunSkill) string {
	if len(given) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("You have skills: directories of instructions, each with a SKILL.md. When a task fits one, read its SKILL.md before you begin, and the files that it names as you need them. They are read-only.\n")
	for _, s := range given {
		fmt.Fprintf(&b, "- %s (%s): %s\n", s.Name, path.Join(skillsDir, s.Name, "SKILL.md"), s.Description)
	}
	return strings.TrimRight(b.String(), "\n")
}

// skills are those of all agents that a run's task may come to.
func (w *work) skills() []state.RunSkill {
	lists := [][]state.RunSkill{w.run.Config.Skills}
	for _, d := range w.run.Config.Delegates {
		lists = append(lists, d.Skills)
	}
	return byName(func(s state.RunSkill) string { return s.Name }, lists...)
}

// laySkills puts a run's skills into its computer, anew where they are not as
// they were stored. One that was deleted meanwhile is told of and left out.
func (w *work) laySkills(ctx context.Context, files *workspace.FS) error {
	for _, s := range w.skills() {
		stored, err := applied(w.cluster, func(v *state.View) ([]state.SkillFile, error) { return v.SkillFiles(s.ID) })
		if err != nil {
			return err
		}
		if len(stored) == 0 {
			w.journal.push(notice("The skill %s was deleted.", s.Name))
			continue
		}
		if err := laySkill(ctx, files, path.Join(skillsDir, s.Name), stored); err != nil {
			return fmt.Errorf("lay skill %s: %w", s.Name, err)
		}
	}
	return nil
}

func laySkill(ctx context.Context, files *workspace.FS, dir string, stored []state.SkillFile) error {
	same, err := skillIsThere(ctx, files, dir, stored)
	if err != nil || same {
		return err
	}
	if there, err := files.Exists(dir); err != nil {
		return err
	} else if there {
		if err := files.Remove(ctx, dir, true); err != nil {
			return err
		}
	}
	for _, f := range stored {
		mode := workspace.WriteOptions{Mode: 0o444}
		if f.Executable {
			mode.Mode = 0o555
		}
		if _, err := files.Write(ctx, path.Join(dir, f.Path), bytes.NewReader(f.Content), mode); err != nil {
			return err
		}
	}
	return files.CloseDirs(ctx, dir)
}

// skillIsThere reports whether a directory holds the files of a skill, and
// nothing else.
func skillIsThere(ctx context.Context, files *workspace.FS, dir string, stored []state.SkillFile) (bool, error) {
	if there, err := files.Exists(dir); err != nil || !there {
		return false, err
	}
	list, err := files.List(ctx, dir, workspace.ListOptions{Limit: 4 * state.MaxSkillFiles})
	if err != nil || list.Truncated {
		return false, err
	}
	n := 0
	for _, e := range list.Entries {
		if e.Kind != workspace.Directory {
			n++
		}
	}
	if n != len(stored) {
		return false, nil
	}
	for _, f := range stored {
		have, err := files.Text(path.Join(dir, f.Path))
		if err != nil || have.Opaque != "" || !bytes.Equal(have.Content, f.Content) {
			return false, nil // laid anew
		}
	}
	return true, nil
}
