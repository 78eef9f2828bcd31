variable "project" {
  description = "Google Cloud project"
  type        = string
}

variable "region" {
  description = "A region in a country that Binance serves; not one of the United States"
  type        = string
  default     = "asia-southeast1"

  validation {
    condition     = !startswith(var.region, "us-") && !startswith(var.region, "northamerica-")
    error_message = "Binance refuses addresses of the United States and Canada (HTTP 451, 403): choose another region."
  }
}

variable "zone" {
  description = "Zone of the region, for the machine and for Bigtable"
  type        = string
  default     = "asia-southeast1-b"
}

variable "name" {
  description = "Begins the name of everything that is made; another one for another collector machine"
  type        = string
  default     = "binance-collector"
}

variable "machine_type" {
  description = "e2-micro holds a worker and one collector with swap; e2-small two, and a Prefect server"
  type        = string
  default     = "e2-micro"
}

variable "services" {
  description = "systemd units that run: depth-server, depth-worker, depth-collect@NAME"
  type        = list(string)
  default     = ["depth-server", "depth-worker"]
}

variable "prefect_api_url" {
  description = "Prefect API of the worker; the server of this machine where not given"
  type        = string
  default     = "http://127.0.0.1:4200/api"
}

variable "settings" {
  description = "Further settings of README.md, NAME to value; no secrets, they are shown in the console"
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Settings whose value is kept in Secret Manager; add a version to each by gcloud"
  type        = set(string)
  default     = ["ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET"]
}

variable "bigtable_instance" {
  description = "Bigtable instance; made here unless create_bigtable is false"
  type        = string
  default     = "depth"
}

variable "create_bigtable" {
  description = "false for a second machine that writes to the same tables"
  type        = bool
  default     = true
}

variable "tables" {
  description = "Depth tables; their companions are made with them"
  type        = set(string)
  default     = ["binance_btc_depth"]
}

variable "retention_days" {
  description = "Days that rows are kept; 0 for ever"
  type        = number
  default     = 0
}

variable "data_disk_gb" {
  description = "Disk for spool, SQLite and Prefect's database; it outlives the machine"
  type        = number
  default     = 10
}

variable "install_ops_agent" {
  description = "Send the journal to Cloud Logging; takes about 100 MB of memory"
  type        = bool
  default     = false
}
