"""What callers may catch. A wrong configuration is `ConfigError`, which the services raise too."""


class LessLLMError(Exception):
    """LessLLM could not do what was asked. The message says what failed and what to do."""


class ServerError(LessLLMError):
    """A server could not be started, or nothing answers where one should be."""


class QueryError(LessLLMError):
    """The collector refused a request: wrong SQL, a limit passed, an unknown filter.

    `code` is the collector's own name for it, such as "sql_error".
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
