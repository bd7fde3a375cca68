package state

import (
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Bounds of skills. All files of one ride in one command.
const (
	MaxSkills     = 100       // of an account
	MaxSkillFiles = 64        // of a skill
	MaxSkillBytes = 512 << 10 // of its files together
)

// Skill is a directory of instructions that agents may be given.
type Skill struct {
	ID          SkillID   `cbor:"1,keyasint"`
	Account     AccountID `cbor:"2,keyasint"`
	User        UserID    `cbor:"3,keyasint"`
	Name        string    `cbor:"4,keyasint"` // unique in the account; a directory's name
	Description string    `cbor:"5,keyasint"`
	Files       int       `cbor:"6,keyasint"`
	Bytes       int       `cbor:"7,keyasint"`
	CreatedAt   time.Time `cbor:"8,keyasint"`
}

// SkillFile is a file of a skill.
type SkillFile struct {
	Path       string `cbor:"1,keyasint"` // relative to the skill's directory
	Content    []byte `cbor:"2,keyasint"`
	Executable bool   `cbor:"3,keyasint"`
}

var skills = table[Skill]{
	name: "skill", noun: "Skill",
	id: func(s Skill) string { return string(s.ID) },
	indexes: []index[Skill]{
		{"account", func(s Skill) ([]string, string, bool) {
			return []string{string(s.Account)}, stampText(s.CreatedAt), true
		}},
		{"name", func(s Skill) ([]string, string, bool) {
			return []string{string(s.Account), s.Name}, stampText(s.CreatedAt), true
		}},
	},
}

// skillFilesKey is where a skill's files lie, so that lists need not read them.
func skillFilesKey(id SkillID) []byte { return key("skillfiles", string(id)) }

// Skills lists an account's skills, newest first.
func (v *View) Skills(account AccountID, p Page) (List[Skill], error) {
	return skills.page(v.r, "account", []string{string(account)}, p, nil)
}

// Skill returns a skill of an account by its id or its name.
func (v *View) Skill(account AccountID, idOrName string) (Skill, error) {
	s, ok, err := skills.find(v.r, idOrName)
	if err == nil && (!ok || s.Account != account) {
		s, ok = Skill{}, false
		err = skills.each(v.r, "name", []string{string(account), idOrName}, false, func(named Skill) bool {
			s, ok = named, true
			return false
		})
	}
	return s, orMissing(ok, err, idOrName)
}

func orMissing(ok bool, err error, id string) error {
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "Skill not found: %s", id)
	}
	return err
}

// SkillFiles returns the files of a skill, by path; none when it is gone.
func (v *View) SkillFiles(id SkillID) (files []SkillFile, err error) {
	b, err := v.r.Get(skillFilesKey(id))
	if err != nil || b == nil {
		return nil, err
	}
	if err := Decode(b, &files); err != nil {
		return nil, fmt.Errorf("state: files of skill %s: %w", id, err)
	}
	return files, nil
}

// CreateSkill stores a skill. A name that the account has already is a Conflict.
type CreateSkill struct {
	Skill       Skill        `cbor:"1,keyasint"`
	Files       []SkillFile  `cbor:"2,keyasint"`
	Idempotency *Idempotency `cbor:"3,keyasint,omitempty"`
}

func (cmd CreateSkill) apply(tx *Tx) error {
	s := cmd.Skill
	if done, err := tx.once(s.Account, cmd.Idempotency, Resource{"skill", string(s.ID)}); err != nil || done {
		return err
	}
	s.Files, s.Bytes, s.CreatedAt = len(cmd.Files), 0, tx.now
	for _, f := range cmd.Files {
		s.Bytes += len(f.Content)
	}
	if s.Files > MaxSkillFiles || s.Bytes > MaxSkillBytes {
		return fault.New(fault.TooLarge, "a skill of %d files, %d bytes; the limits are %d and %d", s.Files, s.Bytes, MaxSkillFiles, MaxSkillBytes).WithField("files")
	}
	if n, err := skills.count(tx.w, "name", string(s.Account), s.Name); err != nil || n > 0 {
		if err == nil {
			err = fault.New(fault.Conflict, "Skill exists: %s; delete it first", s.Name).WithField("name").WithCode(CodeExists)
		}
		return err
	}
	n, err := skills.count(tx.w, "account", string(s.Account))
	if err == nil && n >= MaxSkills {
		err = fault.New(fault.Conflict, "the account has %d skills; the limit is %d", n, MaxSkills)
	}
	if err != nil {
		return err
	}
	b, err := Encode(cmd.Files)
	if err == nil {
		err = tx.w.Set(skillFilesKey(s.ID), b)
	}
	if err != nil {
		return err
	}
	return skills.create(tx.w, s)
}

// DeleteSkill removes a skill. Runs that were given it before say that it is gone.
type DeleteSkill struct {
	Account AccountID `cbor:"1,keyasint"`
	ID      SkillID   `cbor:"2,keyasint"`
}

func (cmd DeleteSkill) apply(tx *Tx) error {
	s, err := tx.Skill(cmd.Account, string(cmd.ID))
	if err != nil {
		return err
	}
	if err := tx.w.Delete(skillFilesKey(s.ID)); err != nil {
		return err
	}
	return skills.remove(tx.w, string(s.ID))
}
