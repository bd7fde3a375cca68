package wire

// TakeBackup asks for a backup that the keys of these recipients open: 1 to 16,
// as `bothy backup keygen` prints them.
type TakeBackup struct {
	Recipients []string `json:"recipients"`
}
