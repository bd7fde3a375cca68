package computeragents

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"gopkg.in/yaml.v3"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Skills keeps skills.
type Skills interface {
	Create(context.Context, actors.Caller, state.Skill, []state.SkillFile) (state.Skill, error)
	Delete(ctx context.Context, c actors.Caller, idOrName string) error
}

// Bounds of skills that the records do not have.
const (
	maxSkillDescription = 1024
	skillFile           = "SKILL.md"
)

var skillName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

func (a *API) skillRoutes() []door.Route {
	read, write := []string{"agents:read"}, []string{"agents:write"}
	return []door.Route{
		{Method: "GET", Path: "/skills", Scopes: read, Serve: a.Handle(a.listSkills)},
		{Method: "POST", Path: "/skills", Scopes: write, Serve: a.Handle(a.createSkill)},
		{Method: "GET", Path: "/skills/:id", Scopes: read, Serve: a.Handle(a.getSkill)},
		{Method: "DELETE", Path: "/skills/:id", Scopes: write, Serve: a.Handle(a.deleteSkill)},
	}
}

// listSkills serves GET /skills.
func (a *API) listSkills(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	var list state.List[state.Skill]
	err = a.LookAll(c, func(v *state.View) (err error) {
		list, err = v.Skills(door.CallerOf(c).Account, page)
		return err
	})
	if err != nil {
		return err
	}
	a.ok(c, listOf(list, page, skillOf))
	return nil
}

func skillOf(s state.Skill) wire.Skill {
	return wire.Skill{ID: string(s.ID), UserID: string(s.User), Name: s.Name, Description: s.Description,
		FileCount: s.Files, SizeBytes: s.Bytes, CreatedAt: wire.At(s.CreatedAt)}
}

// createSkill serves POST /skills.
func (a *API) createSkill(c *gin.Context) error {
	var req wire.CreateSkill
	if err := a.Read(c, &req); err != nil {
		return err
	}
	skill, files, err := newSkill(req)
	if err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	made, err := a.Skills.Create(c.Request.Context(), caller, skill, files)
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, wire.OneSkill{Skill: skillOf(made)})
	return nil
}

func newSkill(req wire.CreateSkill) (skill state.Skill, files []state.SkillFile, err error) {
	if len(req.Files) == 0 || len(req.Files) > state.MaxSkillFiles {
		return skill, nil, invalid("files", "files must have 1 to %d items", state.MaxSkillFiles)
	}
	var head []byte
	size := 0
	seen := map[string]bool{}
	for i, f := range req.Files {
		file, err := skillFileOf(fmt.Sprintf("files[%d]", i), f)
		if err != nil {
			return skill, nil, err
		}
		if seen[file.Path] {
			return skill, nil, invalid("files", "files[%d].path: %s is there twice", i, file.Path)
		}
		seen[file.Path] = true
		if file.Path == skillFile {
			head = file.Content
		}
		size += len(file.Content)
		files = append(files, file)
	}
	switch {
	case head == nil:
		return skill, nil, invalid("files", "files must hold %s, with name and description at its head", skillFile)
	case size > state.MaxSkillBytes:
		return skill, nil, fault.New(fault.TooLarge, "files have %d bytes; the limit is %d", size, state.MaxSkillBytes).WithField("files")
	}
	slices.SortFunc(files, func(a, b state.SkillFile) int { return strings.Compare(a.Path, b.Path) })
	skill, err = describeSkill(req, head)
	return skill, files, err
}

func skillFileOf(field string, f wire.SkillFile) (state.SkillFile, error) {
	file := state.SkillFile{Path: f.Path, Content: []byte(f.Content), Executable: f.Executable}
	if f.Path == "" || path.Clean("/"+f.Path) != "/"+f.Path || len(f.Path) > maxNameBytes || name(field, f.Path) != nil || !utf8.ValidString(f.Path) {
		return file, invalid(field+".path", "%s.path must be a relative path of at most %d bytes, such as reference/api.md", field, maxNameBytes)
	}
	switch f.Encoding {
	case "", "utf8":
	case "base64":
		var err error
		if file.Content, err = base64.StdEncoding.DecodeString(f.Content); err != nil {
			return file, invalid(field+".content", "%s.content is not base64", field)
		}
	default:
		return file, invalid(field+".encoding", "%s.encoding must be utf8 or base64", field)
	}
	return file, nil
}

// describeSkill takes name and description from the request, else from the head
// of SKILL.md: YAML between two lines of three hyphens.
func describeSkill(req wire.CreateSkill, text []byte) (state.Skill, error) {
	var head struct {
		Name        string `yaml:"name"`
		Description string `yaml:"description"`
	}
	rest, ok := bytes.CutPrefix(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("---\n"))
	if yamlText, _, closed := bytes.Cut(rest, []byte("\n---")); ok && closed {
		if err := yaml.Unmarshal(yamlText, &head); err != nil {
			return state.Skill{}, invalid("files", "the head of %s is not YAML: %v", skillFile, err)
		}
	}
	if req.Name != "" {
		head.Name = req.Name
	}
	if req.Description != "" {
		head.Description = req.Description
	}
	head.Description = strings.Join(strings.Fields(head.Description), " ")
	switch {
	case !skillName.MatchString(head.Name):
		return state.Skill{}, invalid("name", "name must be 1 to 64 lower-case letters, digits and hyphens; it is given, or stands at the head of %s", skillFile)
	case head.Description == "" || len(head.Description) > maxSkillDescription || !utf8.ValidString(head.Description):
		return state.Skill{}, invalid("description", "description must be 1 to %d bytes of text; it is given, or stands at the head of %s", maxSkillDescription, skillFile)
	}
	return state.Skill{Name: head.Name, Description: head.Description}, nil
}

// getSkill serves GET /skills/:id, by id or name, with its files.
func (a *API) getSkill(c *gin.Context) error {
	id, err := door.ID(c, "id", "Skill")
	if err != nil {
		return err
	}
	reply, err := get(a, c, func(v *state.View, account state.AccountID) (wire.Skill, error) {
		s, err := v.Skill(account, id)
		if err != nil {
			return wire.Skill{}, err
		}
		files, err := v.SkillFiles(s.ID)
		reply := skillOf(s)
		for _, f := range files {
			one := wire.SkillFile{Path: f.Path, Content: string(f.Content), Encoding: "utf8", Executable: f.Executable}
			if !utf8.Valid(f.Content) {
				one.Content, one.Encoding = base64.StdEncoding.EncodeToString(f.Content), "base64"
			}
			reply.Files = append(reply.Files, one)
		}
		return reply, err
	})
	if err != nil {
		return err
	}
	a.ok(c, wire.OneSkill{Skill: reply})
	return nil
}

// deleteSkill serves DELETE /skills/:id.
func (a *API) deleteSkill(c *gin.Context) error {
	id, err := door.ID(c, "id", "Skill")
	if err != nil {
		return err
	}
	if err := a.Skills.Delete(c.Request.Context(), door.CallerOf(c), id); err != nil {
		return err
	}
	a.ok(c, wire.Done{Success: true, Deleted: true})
	return nil
}
