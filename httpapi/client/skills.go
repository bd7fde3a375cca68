package client

import (
	"context"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Skills are directories of instructions that agents may be given.
type Skills struct{ c *Client }

// Skills are the account's skills.
func (c *Client) Skills() Skills { return Skills{c} }

// List lists skills, newest first, without their files.
func (s Skills) List(ctx context.Context, p Page) (wire.List[wire.Skill], error) {
	return get[wire.List[wire.Skill]](ctx, s.c, query(path("skills"), "limit", p.limit(), "offset", p.offset()))
}

// Get returns a skill with its files, by its id or its name.
func (s Skills) Get(ctx context.Context, id string) (wire.Skill, error) {
	one, err := get[wire.OneSkill](ctx, s.c, path("skills", id))
	return one.Skill, err
}

// Create stores a skill.
func (s Skills) Create(ctx context.Context, w wire.CreateSkill) (wire.Skill, error) {
	one, err := post[wire.OneSkill](ctx, s.c, path("skills"), w)
	return one.Skill, err
}

// Delete removes a skill, by its id or its name.
func (s Skills) Delete(ctx context.Context, id string) error {
	return remove(ctx, s.c, path("skills", id))
}
