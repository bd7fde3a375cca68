package guest

// Path is where a computer sees its guest, on a file system of its own making.
// Programs started there are told by their first argument what to be: "login",
// "sftp" or "scp".
const Path = "/run/bothy/guest"
